// DiskImageStore: ImageStore on a directory (docs/images.md has the layout). Used through store.h; here for its own
// sources and its tests.
//
// The directory is an OCI layout of its own: blobs/ and index.json are enough to build the records again, which happens
// by itself when the database is missing or damaged.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "shim/image/blob_dir.h"
#include "shim/image/bundle.h"
#include "shim/image/catalog.h"
#include "shim/image/layer_dir.h"
#include "shim/image/pull_session.h"
#include "shim/image/pull_table.h"
#include "shim/image/record_db.h"
#include "shim/image/reservations.h"
#include "shim/image/store.h"
#include "shim/image/trash.h"

namespace podshim::image {

struct StoreLimits {
  UnpackLimits layer;
  SpoolLimits spool;
  PullSettings pull;
  RetryPolicy retry;
};

class DiskImageStore : public ImageStore {
 public:
  static Result<std::unique_ptr<DiskImageStore>> open(const std::string& dir, const HostFacts& facts,
                                                      const StoreLimits& limits, std::vector<std::string>* quarantined);

  Result<std::vector<Image>> import(const std::string& path) override;
  Result<Image> pull(const PullRequest& request) override;
  std::vector<PullProgress> pulls() const override { return pulls_.list(); }
  std::optional<Image> find(const std::string& reference) const override;
  std::vector<Image> list() const override;
  Result<> remove(const std::string& reference) override;
  Result<FsUsage> usage() const override;
  Result<Fd> mount_rootfs(const Image& image, const std::string& container_dir) override;
  Result<Fd> mount_readonly(const Image& image, const std::string& container_dir,
                            const std::string& sub_path = "") override;

  void wait_for_trash() { trash_->wait_empty(); }

 private:
  DiskImageStore(std::string dir, HostFacts facts, StoreLimits limits)
      : dir_(std::move(dir)), facts_(std::move(facts)), limits_(limits) {}
  using Reject = std::function<void(const std::string& what, const Error& why)>;
  Result<> start(std::vector<std::string>* quarantined);
  Result<> open_records(const Reject& reject);  // records_ stays empty: there are none, or none of use
  Result<> load_records(const Reject& reject);
  Result<StoredImage> complete(StoredImage image) const;
  Result<> rebuild(const Reject& reject);
  Result<std::vector<Descriptor>> known_manifests() const;

  Result<std::vector<Image>> import_images(const BundleFiles& files, const std::vector<BundleImage>& images);
  Result<StoredImage> store_image(const BundleFiles& files, const BundleImage& image);
  Result<> store_blobs(const BundleFiles& files, const BundleImage& image);
  Result<> make_layers(const BundleImage& image);
  static StoredImage as_stored(const BundleImage& image);
  void keep_what_is_here(std::vector<Digest>* blobs) const;
  std::unique_ptr<Reservations::Hold> reserve(const std::vector<BundleImage>& images);

  Result<Image> pull_alone(const Reference& reference, const RegistryAuth& auth, PullBoard& board,
                           const PullTurn& turn);
  Result<Image> pull_image(const Reference& reference, PullSession& session, PullBoard& board, const PullTurn& turn,
                           bool* touched);
  Result<> store_documents(const BundleImage& image);
  Result<> pull_layers(const BundleImage& image, PullSession& session, PullBoard& board, const PullTurn& turn);
  Result<> add(std::vector<StoredImage> images);
  Result<> commit(const Catalog::Change& change);
  void write_index() const;
  std::string index_text() const;
  Result<> sync() const;
  void collect();
  std::shared_ptr<const Catalog> catalog() const {
    std::lock_guard lock(published_);
    return catalog_;
  }
  Catalog set_aside() const {
    std::lock_guard lock(published_);
    return set_aside_;
  }
  void publish_set_aside(Catalog next) {
    std::lock_guard lock(published_);
    set_aside_ = std::move(next);
  }
  void publish(Catalog next) {
    auto fresh = std::make_shared<const Catalog>(std::move(next));
    std::lock_guard lock(published_);
    catalog_.swap(fresh);  // the old one goes after the lock
  }
  Result<std::vector<Layer>> hold(const Image& image, const std::string& container_dir);

  std::string records_path() const { return dir_ + "/images.db"; }

  const std::string dir_;
  const HostFacts facts_;
  const StoreLimits limits_;
  std::optional<BlobDir> blobs_;
  std::unique_ptr<LayerDir> layers_;
  std::unique_ptr<Trash> trash_;

  mutable std::mutex published_;  // guards the pointer and set_aside_ alone, for the time of a copy
  std::shared_ptr<const Catalog> catalog_ = std::make_shared<const Catalog>();
  // Recorded, and not listed: something of them is missing or wrong. What is left of them stays for what heals them.
  Catalog set_aside_;

  std::mutex write_;  // one change of the records at a time; never taken by readers
  std::optional<RecordDb> records_;

  PullTable pulls_;
  Reservations reserved_;
};

}  // namespace podshim::image
