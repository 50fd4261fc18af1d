// DiskImageStore: ImageStore on a directory (docs/images.md has the layout). Used through store.h; here for its own
// sources and its tests.
//
// The directory is an OCI layout of its own: blobs/ and index.json are enough to build the records again, which happens
// by itself when the database is missing or damaged.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "shim/image/blob_dir.h"
#include "shim/image/bundle.h"
#include "shim/image/catalog.h"
#include "shim/image/layer_dir.h"
#include "shim/image/record_db.h"
#include "shim/image/store.h"
#include "shim/image/trash.h"

namespace podshim::image {

struct StoreLimits {
  UnpackLimits layer;
  SpoolLimits spool;
};

class DiskImageStore : public ImageStore {
 public:
  static Result<std::unique_ptr<DiskImageStore>> open(const std::string& dir, const HostFacts& facts,
                                                      const StoreLimits& limits, std::vector<std::string>* quarantined);

  Result<std::vector<Image>> import(const std::string& path) override;
  std::optional<Image> find(const std::string& reference) const override;
  std::vector<Image> list() const override;
  Result<> remove(const std::string& reference) override;
  Result<FsUsage> usage() const override;
  Result<Fd> mount_rootfs(const Image& image, const std::string& container_dir) override;
  Result<Fd> mount_readonly(const Image& image, const std::string& container_dir) override;

  void wait_for_trash() { trash_->wait_empty(); }

 private:
  DiskImageStore(std::string dir, HostFacts facts, StoreLimits limits)
      : dir_(std::move(dir)), facts_(std::move(facts)), limits_(limits) {}
  using Reject = std::function<void(const std::string& what, const Error& why)>;
  Result<> start(std::vector<std::string>* quarantined);
  Result<> open_records(const Reject& reject, bool* rebuild);
  Result<> load_records(const Reject& reject);
  Result<StoredImage> complete(StoredImage image) const;
  Result<> rebuild(const Reject& reject);
  Result<std::vector<Descriptor>> known_manifests() const;

  Result<std::vector<Image>> import_images(const BundleFiles& files, const std::vector<BundleImage>& images);
  Result<StoredImage> store_image(const BundleFiles& files, const BundleImage& image);
  Result<> store_blobs(const BundleFiles& files, const BundleImage& image);
  Result<> store_layers(const BundleImage& image);
  Result<> commit(const Catalog::Change& change);
  Result<> write_index(const Catalog& catalog) const;
  Result<> sync() const;
  void collect();
  std::shared_ptr<const Catalog> catalog() const {
    std::lock_guard lock(published_);
    return catalog_;
  }
  void publish(Catalog next) {
    auto fresh = std::make_shared<const Catalog>(std::move(next));
    std::lock_guard lock(published_);
    catalog_.swap(fresh);  // the old one goes after the lock
  }
  Result<std::vector<Layer>> hold(const Image& image, const std::string& container_dir);

  const std::string dir_;
  const HostFacts facts_;
  const StoreLimits limits_;
  std::optional<BlobDir> blobs_;
  std::unique_ptr<LayerDir> layers_;
  std::unique_ptr<Trash> trash_;

  mutable std::mutex published_;  // guards the pointer alone, for the time of a copy
  std::shared_ptr<const Catalog> catalog_ = std::make_shared<const Catalog>();
  std::atomic<std::uint64_t> blob_bytes_ = 0, blob_files_ = 0;

  std::mutex write_;  // one change of the records at a time; never taken by readers
  std::optional<RecordDb> records_;
  std::set<Digest> set_aside_blobs_, set_aside_chains_;  // of quarantined records, kept for the next import

  std::shared_mutex importing_;  // shared: an import is at work; exclusive (only tried): a collection
  std::atomic<bool> collect_later_ = false;
};

}  // namespace podshim::image
