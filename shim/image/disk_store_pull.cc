#include <malloc.h>

#include <algorithm>

#include "common/fault.h"
#include "common/log.h"
#include "shim/image/disk_store.h"
#include "shim/image/layer_fetches.h"
#include "shim/image/layer_pipeline.h"
#include "shim/image/scratch.h"

namespace podshim::image {
namespace {

// The same reference with other credentials is another pull: who may not see the image must not get it by joining.
std::string pull_key(const Reference& reference, const RegistryAuth& auth) {
  std::string secrets;
  for (const auto* text :
       {&auth.username, &auth.password, &auth.auth, &auth.server_address, &auth.identity_token, &auth.registry_token})
    secrets += std::to_string(text->size()) + ":" + *text;
  return reference.text() + " " + Digest::of(secrets).hex();
}

bool is_id(const std::string& text) {
  return text.starts_with("sha256:") || (text.size() == 64 && Digest::parse("sha256:" + text));
}

// Wrong bytes can look like a broken or hostile layer before their digest is known, and have the kernel refuse names,
// links and attributes in many ways; only these are the machine's own. A bomb is one whatever its digest.
bool may_be_the_bytes(const Error& e) {
  if (e.kind == ErrorKind::os) {
    constexpr int kMachine[] = {ENOSPC, EDQUOT, EIO, ENOMEM, EMFILE, ENFILE, EROFS};
    return std::none_of(std::begin(kMachine), std::end(kMachine), [&](int code) { return e.is(code); });
  }
  return e.kind != ErrorKind::cancelled && e.kind != ErrorKind::internal && e.kind != ErrorKind::resource_exhausted;
}

// The manifest is the registry's word for sizes; without one nothing would bound a layer's bytes.
Result<> check_sizes(const BundleImage& image, std::uint64_t most) {
  for (const auto& layer : image.layers) {
    if (layer.size == 0)
      return fail(Error::of(ErrorKind::failed_precondition, "read manifest", image.manifest.text(),
                            "layer " + layer.digest.text() + " has no size"));
    if (layer.size > most)
      return fail(Error::of(ErrorKind::resource_exhausted, "read manifest", image.manifest.text(),
                            "layer " + layer.digest.text() + " has " + std::to_string(layer.size) +
                                " bytes, more than " + std::to_string(most)));
  }
  return {};
}

}  // namespace

Result<Image> DiskImageStore::pull(const PullRequest& request) {
  if (is_id(request.reference)) {
    if (auto image = find(request.reference)) return *std::move(image);
    return fail(Error::of(ErrorKind::not_found, "pull image", request.reference,
                          "no image here has this id, and registries know names only: pull it by tag or digest"));
  }
  Reference reference = TRY(parse_reference(request.reference));
  return pulls_.run(
      pull_key(reference, request.auth), reference.text(), request.given_up,
      [&](PullBoard& board, const PullTurn& turn) { return pull_alone(reference, request.auth, board, turn); });
}

Result<Image> DiskImageStore::pull_alone(const Reference& reference, const RegistryAuth& auth, PullBoard& board,
                                         const PullTurn& turn) {
  bool touched = false;  // the disk
  // What was brought by hand may be of no registry at all: that is asked once, without patience, and its silence is
  // no reason to refuse what is here.
  const auto before = catalog();
  const StoredImage* here = before->find(reference.text());
  const bool imported = here != nullptr && here->imported;
  auto session =
      PullSession::open(reference, auth, limits_.pull, imported ? RetryPolicy{.attempts = 1} : limits_.retry);
  auto result = session ? pull_image(reference, **session, board, turn, &touched) : fail(std::move(session).error());
  if (!result && imported && !touched && result.error().kind == ErrorKind::unavailable) {
    log::warn("registry not reached; the imported image is used",
              {{"image", reference.text()}, {"error", result.error().text()}});
    result = here->view();
  }
  if (!result && touched) collect();
  ::malloc_trim(0);  // the buffers of a pull would stay with an idle daemon
  if (!result) return fail(std::move(result).error().within("pull image " + reference.text()));
  return result;
}

Result<Image> DiskImageStore::pull_image(const Reference& reference, PullSession& session, PullBoard& board,
                                         const PullTurn& turn, bool* touched) {
  Resolved top = TRY(session.resolve());
  auto read = [&](const Digest& digest, DocumentRole role) -> Result<std::string> {
    if (digest == top.digest && !top.text.empty()) return top.text;
    if (auto here = blobs_->read(digest)) return here;
    return role == DocumentRole::config ? session.document(digest) : session.manifest(digest);
  };
  BundleImage image = TRY(read_oci_image(read, {.digest = top.digest}, host_platform()));
  TRY(check_sizes(image, limits_.layer.bytes));
  if (reference.digest.empty()) image.tags.emplace_back(reference.text(), top.digest);
  image.digests.emplace_back(reference.repository(), top.digest);
  board.show(image.layers);
  auto hold = reserve({image});  // before looking for what is here
  StoredImage stored = as_stored(image);
  auto before = catalog();
  auto have = before->images().find(image.id);
  bool whole = have != before->images().end() && layers_->chain(stored.diff_ids).has_value();
  auto knows = [](const auto& names, const auto& wanted) {
    return std::includes(names.begin(), names.end(), wanted.begin(), wanted.end());
  };
  if (whole && knows(have->second.tags, stored.tags) && knows(have->second.digests, stored.digests))
    return have->second.view();
  *touched = true;
  fault_point("store documents");
  TRY(store_documents(image));
  if (whole) {
    TRY(sync());
  } else {
    TRY(pull_layers(image, session, board, turn));
  }
  keep_what_is_here(&stored.blobs);
  for (const auto& layer : TRY(layers_->chain(stored.diff_ids))) stored.size_bytes += layer.unpacked.totals.bytes;
  std::lock_guard lock(write_);
  TRY(add({stored}));
  return catalog()->images().at(stored.id).view();
}

Result<> DiskImageStore::pull_layers(const BundleImage& image, PullSession& session, PullBoard& board,
                                     const PullTurn& turn) {
  fault_point("pull layers");
  Scratch scratch = TRY(Scratch::make(dir_ + "/ingest"));
  LayerFetches fetches(*blobs_, scratch.path(), session);
  std::vector<LayerSource> sources;
  for (std::size_t i = 0; i < image.layers.size(); i++) {
    const BundleLayer& layer = image.layers[i];
    PullBoard::Cell& cell = board.cell(i);
    auto open = [&]() -> Result<std::unique_ptr<ByteSource>> {
      cell.stage = LayerStage::fetching;
      return fetches.open(layer, cell);
    };
    auto verify = [&] { return fetches.keep(layer); };
    auto again = [&](Error why) -> Result<> {
      if (!may_be_the_bytes(why)) return fail(std::move(why));
      return fetches.again(layer, std::move(why));
    };
    auto done = [&] {
      cell.fetched = layer.size;
      cell.stage = LayerStage::done;
    };
    sources.push_back({.diff_id = layer.diff_id, .open = open, .verify = verify, .again = again, .done = done});
  }
  PipelineSettings settings{.limits = limits_.layer,
                            .sync = [this] { return sync(); },
                            .give_up = [&] { session.cancel(); },
                            .given_up = turn.abandoned,
                            .aside = turn.aside};
  return store_layers(*layers_, sources, settings);
}

}  // namespace podshim::image
