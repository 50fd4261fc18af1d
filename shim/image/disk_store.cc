#include "shim/image/disk_store.h"

#include <chrono>

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
    if (change.put.empty() && change.removed.empty()) return {};
    auto done = commit(change);
    if (!done && done.error().is(ENOSPC)) {  // a full disk must not keep what fills it
      TRY(sys::remove_file(dir_ + "/reserve"));
      done = commit(change);
    }
    if (!done) return done;
  }
  collect();
  return {};
}

// The record first, then what readers see. index.json is for the rebuild only: an old one costs a name, never an image.
Result<> DiskImageStore::commit(const Catalog::Change& change) {
  TRY(records_->write(change.put, change.removed));
  publish(change.next);
  if (auto r = write_index(change.next); !r) {
    log::warn("index.json of the images is out of date", {{"error", r.error().text()}});
  }
  return {};
}

Result<> DiskImageStore::write_index(const Catalog& catalog) const {
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
  for (const auto& [id, image] : catalog.images()) {
    for (const auto& [tag, target] : image.tags) add(target, tag);
    for (const auto& [name, target] : image.digests) add(target, name);
    if (image.tags.empty() && image.digests.empty()) add(image.manifest, "");
  }
  json::Value index = json::Value::object();
  index.set("schemaVersion", 2).set("mediaType", "application/vnd.oci.image.index.v1+json");
  index.set("manifests", std::move(manifests));
  return sys::write_file_atomic(dir_ + "/index.json", json::dump(index), 0600);
}

// Removes blobs and layers that nothing refers to. Never waits for an import: the last one at work does it then.
void DiskImageStore::collect() {
  std::unique_lock lock(importing_, std::try_to_lock);
  if (!lock) {
    collect_later_ = true;
    return;
  }
  collect_later_ = false;
  auto catalog = this->catalog();
  std::set<Digest> blobs = set_aside_blobs_, chains = set_aside_chains_;
  for (const auto& [id, image] : catalog->images()) {
    blobs.insert(image.blobs.begin(), image.blobs.end());
    Digest chain;
    for (const auto& diff_id : image.diff_ids) chains.insert(chain = chain_id(chain, diff_id));
  }
  auto usage = blobs_->keep_only(blobs);
  if (usage) {
    blob_bytes_ = usage->bytes;
    blob_files_ = usage->files;
  } else {
    log::error("blobs without an image stay", {{"error", usage.error().text()}});
  }
  if (auto r = layers_->collect(chains); !r) log::error("layers without an image stay", {{"error", r.error().text()}});
  trash_->wake();
}

Result<FsUsage> DiskImageStore::usage() const {
  LayerTotals totals = layers_->totals();
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return FsUsage{.mountpoint = dir_,
                 .used_bytes = totals.blocks + blob_bytes_,
                 .inodes_used = totals.inodes + blob_files_,
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

Result<Fd> DiskImageStore::mount_readonly(const Image& image, const std::string& container_dir) {
  auto layers = TRY(hold(image, container_dir));
  return TRY_IN(mount_lower_view(layers_->path(), layer_stack(layers), facts_), "mount image " + image.id);
}

}  // namespace podshim::image

namespace podshim {

Result<std::unique_ptr<ImageStore>> open_image_store(const std::string& dir, const HostFacts& facts,
                                                     std::vector<std::string>* quarantined) {
  return image::DiskImageStore::open(dir, facts, {}, quarantined);
}

}  // namespace podshim
