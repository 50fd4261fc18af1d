#include "shim/image/disk_store.h"

#include <chrono>

#include "common/fault.h"
#include "common/json.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/image/overlay.h"

namespace podshim::image {

std::optional<Image> DiskImageStore::find(const std::string& reference) const {
  auto catalog = this->catalog();
  const StoredImage* image = catalog->find(reference);
  if (image == nullptr) return std::nullopt;
  return image->view();
}

std::vector<Image> DiskImageStore::list() const { return catalog()->list(); }

Result<> DiskImageStore::remove(const std::string& reference) {
  {
    std::lock_guard lock(write_);
    Catalog::Change change = catalog()->remove(reference);
    const bool listed = !change.put.empty() || !change.removed.empty();
    if (!listed) change = set_aside().remove(reference);
    if (change.put.empty() && change.removed.empty()) return {};
    auto write = [&]() -> Result<> {
      if (listed) return commit(change);
      TRY(records_->write(change.put, change.removed));
      publish_set_aside(change.next);
      write_index();
      return {};
    };
    auto done = write();
    if (!done && done.error().is(ENOSPC)) {  // a full disk must not keep what fills it
      TRY(sys::remove_file(dir_ + "/reserve"));
      done = write();
    }
    if (!done) return done;
  }
  collect();
  return {};
}

// Images that are whole. One that was set aside gets the names back that it still had; others that were set aside lose
// those that are now of an image that is listed. With write_ held.
Result<> DiskImageStore::add(std::vector<StoredImage> images) {
  Catalog::Change aside = set_aside().add(images);
  for (auto& image : images) image = aside.next.images().at(image.id);
  Catalog::Change change = catalog()->add(images);
  Catalog rest = std::move(aside.next);
  for (const auto& image : images) rest = rest.remove(image.id.text()).next;
  for (auto& record : aside.put) {
    auto id = Digest::parse(record.id);
    if (id && rest.images().contains(*id)) change.put.push_back(std::move(record));
  }
  TRY(commit(change));
  publish_set_aside(std::move(rest));
  return {};
}

// The record first, then what readers see. index.json is for the rebuild only: an old one costs a name, never an image.
Result<> DiskImageStore::commit(const Catalog::Change& change) {
  TRY(records_->write(change.put, change.removed));
  fault_point("publish images");
  publish(change.next);
  write_index();
  return {};
}

void DiskImageStore::write_index() const {
  const std::string path = dir_ + "/index.json", text = index_text();
  if (sys::read_file(path).value_or("") == text) return;
  if (auto written = sys::write_file_atomic(path, text, 0600); !written)
    log::warn("index.json of the images is out of date", {{"error", written.error().text()}});
}

std::string DiskImageStore::index_text() const {
  json::Value manifests = json::Value::array();
  auto add = [&](const Digest& digest, const std::string& name) {
    auto text = blobs_->read(digest);
    if (!text) return;
    auto kind = document_kind(*text);
    json::Value d = json::Value::object();
    d.set("mediaType", kind && *kind == DocumentKind::index ? "application/vnd.oci.image.index.v1+json"
                                                            : "application/vnd.oci.image.manifest.v1+json");
    d.set("digest", digest.text()).set("size", text->size());
    if (!name.empty()) d.set("annotations", json::Value::object().set("org.opencontainers.image.ref.name", name));
    manifests.push(std::move(d));
  };
  const auto listed = catalog();
  const Catalog aside = set_aside();  // a rebuild may heal them
  for (const Catalog* catalog : {listed.get(), &aside}) {
    for (const auto& [id, image] : catalog->images()) {
      if (catalog == &aside && listed->images().contains(id)) continue;
      for (const auto& [tag, target] : image.tags) add(target, tag);
      for (const auto& [name, target] : image.digests) add(target, name);
      if (image.tags.empty() && image.digests.empty()) add(image.manifest, "");
    }
  }
  json::Value index = json::Value::object();
  index.set("schemaVersion", 2).set("mediaType", "application/vnd.oci.image.index.v1+json");
  index.set("manifests", std::move(manifests));
  return json::dump(index);
}

// Removes blobs and layers that nothing refers to: no record, no container, no import or pull at work.
void DiskImageStore::collect() {
  reserved_.collect([this](Reservations::Kept keep) {
    fault_point("collect blobs");
    const Catalog aside = set_aside();  // first: what is healed meanwhile is in one of the two
    const auto listed = catalog();
    for (const Catalog* catalog : {&aside, listed.get()}) {
      for (const auto& [id, image] : catalog->images()) {
        keep.blobs.insert(image.blobs.begin(), image.blobs.end());
        Digest chain;
        for (const auto& diff_id : image.diff_ids) keep.chains.insert(chain = chain_id(chain, diff_id));
      }
    }
    if (auto r = blobs_->keep_only(keep.blobs); !r)
      log::error("blobs without an image stay", {{"error", r.error().text()}});
    fault_point("collect layers");
    if (auto r = layers_->collect(keep.chains); !r)
      log::error("layers without an image stay", {{"error", r.error().text()}});
  });
  trash_->wake();
}

Result<FsUsage> DiskImageStore::usage() const {
  const LayerTotals totals = layers_->totals();
  const BlobDir::Usage blobs = blobs_->usage();
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return FsUsage{.mountpoint = dir_,
                 .used_bytes = totals.blocks + blobs.bytes,
                 .inodes_used = totals.inodes + blobs.files,
                 .timestamp_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()};
}

Result<std::vector<Layer>> DiskImageStore::hold(const Image& image, const std::string& container_dir) {
  auto catalog = this->catalog();
  const StoredImage* stored = catalog->find(image.id);
  if (stored == nullptr) return fail(Error::of(ErrorKind::not_found, "image", image.id));
  return layers_->hold(stored->diff_ids, container_dir);
}

Result<Fd> DiskImageStore::mount_rootfs(const Image& image, const std::string& container_dir) {
  auto layers = TRY(hold(image, container_dir));
  Fd dir = TRY(sys::open(container_dir, O_PATH | O_DIRECTORY));
  std::string upper = container_dir + "/upper", work = container_dir + "/work";
  TRY(sys::make_dir(upper, 0755));
  TRY(sys::make_dir(work, 0700));
  if (!layers.empty()) {
    // The root of the overlay has the attributes of its topmost directory, and that is the upper.
    Fd top = TRY(sys::open(layers_->path() + "/" + layers.back().key() + "/fs", O_PATH | O_DIRECTORY));
    struct stat st{};
    if (::fstatat(top.get(), "", &st, AT_EMPTY_PATH) != 0) return fail(Error::sys("stat", upper));
    if (::fchownat(dir.get(), "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
      return fail(Error::sys("chown", upper));
    if (::fchmodat(dir.get(), "upper", st.st_mode & 07777, 0) != 0) return fail(Error::sys("chmod", upper));
  }
  if (!is_plain_option(upper) || !is_plain_option(work)) {
    std::string base = "/proc/self/fd/" + std::to_string(dir.get());
    upper = base + "/upper";
    work = base + "/work";
  }
  OverlaySpec spec{.layers_dir = layers_->path(), .layers = layer_stack(layers), .upper = upper, .work = work};
  return TRY_IN(mount_overlay(TRY(plan_overlay(spec, facts_)), layers_->path()), "mount image " + image.id);
}

Result<Fd> DiskImageStore::mount_readonly(const Image& image, const std::string& container_dir,
                                          const std::string& sub_path) {
  auto layers = TRY(hold(image, container_dir));
  Fd view = TRY_IN(mount_lower_view(layers_->path(), layer_stack(layers), facts_), "mount image " + image.id);
  if (sub_path.empty()) return view;
  return TRY_IN(mount_below(view, sub_path, layers_->path()), "mount image " + image.id);
}

}  // namespace podshim::image

namespace podshim {

Result<std::unique_ptr<ImageStore>> open_image_store(const std::string& dir, const HostFacts& facts,
                                                     std::vector<std::string>* quarantined, const PullSettings& pull) {
  return image::DiskImageStore::open(dir, facts, {.pull = pull}, quarantined);
}

}  // namespace podshim
