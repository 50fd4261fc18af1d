#include <fcntl.h>

#include "common/ids.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/image/disk_store.h"

namespace podshim::image {
namespace {

constexpr off_t kReserve = 1 << 20;

// Space that a removal on a full disk may use. Best effort: without it such a removal may fail.
void keep_reserve(const std::string& path) {
  auto fd = sys::open(path, O_WRONLY | O_CREAT, 0600);
  if (fd && ::posix_fallocate(fd->get(), 0, kReserve) != 0) (void)sys::remove_file(path);
}

}  // namespace

Result<std::unique_ptr<DiskImageStore>> DiskImageStore::open(const std::string& dir, const HostFacts& facts,
                                                             const StoreLimits& limits,
                                                             std::vector<std::string>* quarantined) {
  std::unique_ptr<DiskImageStore> self(new DiskImageStore(dir, facts, limits));
  TRY_IN(self->start(quarantined), "open image store " + dir);
  return self;
}

Result<> DiskImageStore::start(std::vector<std::string>* quarantined) {
  Reject reject = [quarantined](const std::string& what, const Error& why) {
    if (quarantined != nullptr) quarantined->push_back(what + ": " + why.text());
  };
  TRY(sys::make_dirs(dir_, 0700));
  for (const char* name : {"/ingest", "/trash"}) TRY(sys::make_dir(dir_ + name, 0700));
  for (const auto& name : TRY(sys::list_dir(dir_ + "/ingest"))) {
    std::string from = dir_ + "/ingest/" + name, to = dir_ + "/trash/" + random_hex(8);
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(Error::sys("rename", from, to));
  }
  keep_reserve(dir_ + "/reserve");
  TRY(sys::write_file(dir_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0600));
  blobs_ = TRY(BlobDir::open(dir_ + "/blobs", dir_ + "/ingest"));
  layers_ = TRY(LayerDir::open({dir_ + "/layers", dir_ + "/uses", dir_ + "/trash"}, facts_));
  trash_ = std::make_unique<Trash>(dir_ + "/trash");
  bool lost = false;
  TRY(open_records(reject, &lost));
  if (lost) {
    TRY(rebuild(reject));
  } else {
    TRY(load_records(reject));
  }
  collect();
  return {};
}

// A damaged database is kept beside the new one for whoever wants to look at it.
Result<> DiskImageStore::open_records(const Reject& reject, bool* lost) {
  std::string path = dir_ + "/images.db";
  *lost = !sys::exists(path);
  auto open = [&]() -> Result<> {
    records_ = TRY(RecordDb::open(path));
    TRY(records_->load());
    return {};
  };
  auto opened = open();
  if (opened || opened.error().kind != ErrorKind::internal) return opened;
  reject("image records", opened.error());
  records_.reset();
  *lost = true;
  if (::rename(path.c_str(), (path + ".damaged").c_str()) != 0) return fail(Error::sys("rename", path));
  TRY(sys::remove_file(path + "-journal"));
  return open();
}

// What a record does not hold, from the blobs and layers; any of it missing or wrong is an error.
Result<StoredImage> DiskImageStore::complete(StoredImage image) const {
  ImageConfig config = TRY(decode_config(TRY(blobs_->read(image.id))));
  if (config.diff_ids != image.diff_ids) return fail(Error::invalid("diff_ids", "not those of the config"));
  image.process = std::move(config.process);
  for (const auto& layer : TRY(layers_->chain(image.diff_ids))) image.size_bytes += layer.unpacked.totals.bytes;
  return image;
}

Result<> DiskImageStore::load_records(const Reject& reject) {
  std::vector<StoredImage> images;
  for (const auto& record : TRY(records_->load())) {
    auto decoded = decode_record(record);
    if (!decoded) {
      reject("image " + record.id, decoded.error());
      continue;
    }
    auto image = complete(*decoded);
    if (image) {
      images.push_back(*std::move(image));
      continue;
    }
    reject("image " + record.id, image.error());
    set_aside_blobs_.insert(decoded->blobs.begin(), decoded->blobs.end());
    Digest chain;
    for (const auto& diff_id : decoded->diff_ids) set_aside_chains_.insert(chain = chain_id(chain, diff_id));
  }
  publish(Catalog().add(images).next);
  return {};
}

// Manifests that index.json names; without a readable one, every manifest among the blobs, nameless.
Result<std::vector<Descriptor>> DiskImageStore::known_manifests() const {
  if (auto text = sys::read_file(dir_ + "/index.json", kMaxDocument)) {
    if (auto index = decode_index(*text)) return std::move(index->manifests);
  }
  std::vector<Descriptor> out;
  for (const auto& digest : TRY(blobs_->list())) {
    auto text = blobs_->read(digest);  // too large for a document, or damaged: not a manifest
    if (!text) continue;
    auto manifest = decode_manifest(*text);
    if (manifest && blobs_->has(manifest->config.digest)) out.push_back({.digest = digest});
  }
  return out;
}

// The images directory is an OCI layout: the records are rebuilt by importing it into itself. Layers whose marker is
// there are taken as they are, others are unpacked again from their blobs.
Result<> DiskImageStore::rebuild(const Reject& reject) {
  auto files = TRY(directory_files(dir_));
  auto manifests = TRY(known_manifests());
  for (const auto& descriptor : manifests) {
    auto image = read_oci_image(*files, descriptor, host_platform());
    auto added = image ? import_images(*files, {*image}) : fail(std::move(image).error());
    if (!added) reject("image " + descriptor.digest.text(), added.error());
  }
  if (!manifests.empty()) log::info("image records rebuilt from the blobs", {{"images", catalog()->images().size()}});
  return {};
}

}  // namespace podshim::image
