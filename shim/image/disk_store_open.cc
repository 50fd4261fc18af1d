#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <iterator>

#include "common/fault.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/image/disk_store.h"

namespace podshim::image {
namespace {

constexpr off_t kReserve = 1 << 20;

// Space that a removal on a full disk may use. Best effort: without it such a removal may fail.
void keep_reserve(const std::string& path) {
  fault_point("keep reserve");
  auto fd = sys::open(path, O_WRONLY | O_CREAT, 0600);
  if (fd && ::posix_fallocate(fd->get(), 0, kReserve) != 0) (void)sys::remove_file(path);
}

std::string name_of(const StoredImage& image) {
  std::string out = "image " + image.id.text();
  for (const auto& [tag, target] : image.tags) out += " " + tag;
  return out;
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
    fault_point("trash scratch");
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(Error::sys("rename", from, to));
  }
  keep_reserve(dir_ + "/reserve");
  TRY(sys::write_file(dir_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0600));
  blobs_ = TRY(BlobDir::open(dir_ + "/blobs", dir_ + "/ingest"));
  layers_ = TRY(LayerDir::open({dir_ + "/layers", dir_ + "/uses", dir_ + "/trash"}, facts_));
  trash_ = std::make_unique<Trash>(dir_ + "/trash");
  TRY(open_records(reject));
  if (records_) {
    TRY(load_records(reject));
    write_index();  // a daemon that died between a record and its name there
  } else {
    TRY(rebuild(reject));
  }
  collect();
  return {};
}

// A damaged database is kept for whoever wants to look at it.
Result<> DiskImageStore::open_records(const Reject& reject) {
  const std::string path = records_path();
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return fail(Error::sys("stat", path));
  }
  auto opened = [&]() -> Result<> {
    records_ = TRY(RecordDb::open(path));
    TRY(records_->load());
    return {};
  }();
  if (opened) return {};
  records_.reset();
  if (opened.error().kind != ErrorKind::internal) return opened;
  reject("image records (kept as " + path + ".damaged)", opened.error());
  fault_point("set records aside");
  if (::rename(path.c_str(), (path + ".damaged").c_str()) != 0) return fail(Error::sys("rename", path));
  return {};
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
  std::vector<StoredImage> images, aside;
  for (const auto& record : TRY(records_->load())) {
    auto decoded = decode_record(record);
    if (!decoded) {
      reject("image " + record.id, decoded.error());
      if (auto id = Digest::parse(record.id)) aside.push_back({.id = *id});  // so that it can be removed
      continue;
    }
    auto image = complete(*decoded);
    if (image) {
      images.push_back(*std::move(image));
      continue;
    }
    if (image.error().is_shortage()) return fail(std::move(image).error().within("image " + record.id));
    reject(name_of(*decoded), image.error());
    aside.push_back(*std::move(decoded));
  }
  publish(Catalog().add(images).next);
  publish_set_aside(Catalog().add(aside).next);
  return {};
}

// Manifests that index.json names; without a readable one, every manifest among the blobs, nameless.
Result<std::vector<Descriptor>> DiskImageStore::known_manifests() const {
  auto names = sys::read_file(dir_ + "/index.json", kMaxDocument);
  if (!names && names.error().is_shortage()) return fail(std::move(names).error());
  if (names) {
    if (auto index = decode_index(*names)) return std::move(index->manifests);
  }
  std::vector<Descriptor> out;
  for (const auto& digest : TRY(blobs_->list())) {
    auto text = blobs_->read(digest);  // too large for a document, or damaged: not a manifest
    if (!text && text.error().is_shortage()) return fail(std::move(text).error());
    if (!text) continue;
    auto manifest = decode_manifest(*text);
    if (manifest && blobs_->has(manifest->config.digest)) out.push_back({.digest = digest});
  }
  return out;
}

// The images directory is an OCI layout: the records are rebuilt by importing it into itself. Layers whose marker is
// there are taken as they are, others are unpacked again from their blobs. All records come at once, and names are read
// from index.json until then: a daemon killed on the way begins anew.
Result<> DiskImageStore::rebuild(const Reject& reject) {
  auto files = TRY(directory_files(dir_));
  auto manifests = TRY(known_manifests());
  std::vector<StoredImage> images, aside;
  for (const auto& descriptor : manifests) {
    auto image = read_oci_image(*files, descriptor, host_platform());
    auto stored = image ? store_image(*files, *image) : fail(std::move(image).error());
    if (stored) {
      images.push_back(*std::move(stored));
      continue;
    }
    if (stored.error().is_shortage()) return fail(std::move(stored).error().within("rebuild image records"));
    reject("image " + descriptor.digest.text(), stored.error());
    if (!image || stored.error().kind != ErrorKind::os) continue;
    // Not for what it holds (a full disk, a read error): a record keeps what is here of it.
    aside.push_back(as_stored(*image));
    keep_what_is_here(&aside.back().blobs);
  }
  if (!images.empty()) TRY(sync());  // documents, and the markers of the layers
  Catalog::Change listed = Catalog().add(images), kept = Catalog().add(aside);
  std::move(kept.put.begin(), kept.put.end(), std::back_inserter(listed.put));
  TRY(RecordDb::make(records_path(), listed.put));
  records_ = TRY(RecordDb::open(records_path()));
  publish(std::move(listed.next));
  publish_set_aside(std::move(kept.next));
  write_index();
  if (!manifests.empty()) log::info("image records rebuilt from the blobs", {{"images", catalog()->images().size()}});
  return {};
}

}  // namespace podshim::image
