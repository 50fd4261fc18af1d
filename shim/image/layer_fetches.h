// LayerFetches: the blobs of one pull's layers on their way: each digest once, a thread for each, into files of the
// pull's scratch directory. What the store has already is read from there. The destructor ends what is under way.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "shim/image/blob_dir.h"
#include "shim/image/bundle.h"
#include "shim/image/pull_session.h"
#include "shim/image/pull_table.h"

namespace podshim::image {

class LayerFetches {
 public:
  LayerFetches(const BlobDir& blobs, std::string scratch, PullSession& session)
      : blobs_(blobs), scratch_(std::move(scratch)), session_(session) {}
  ~LayerFetches();
  LayerFetches(const LayerFetches&) = delete;
  LayerFetches& operator=(const LayerFetches&) = delete;

  // Any thread, from here on. The bytes of a layer; fetching begins now.
  Result<std::unique_ptr<ByteSource>> open(const BundleLayer& layer, PullBoard::Cell& cell);
  // After a failure with the bytes that open() gave: waits for their verification. Success: they were not the blob's,
  // another endpoint is being asked, and open() gives what it sends. Else what is to be said of it: `why`, or that the
  // bytes were wrong.
  Result<> again(const BundleLayer& layer, Error why);
  // Waits until the blob is verified and puts it into the store, unless it is there.
  Result<> keep(const BundleLayer& layer);

 private:
  struct Fetch {
    Descriptor blob;
    PullBoard::Cell* cell = nullptr;
    BlobOrigins origins{};
    int tries = 0;
    std::shared_ptr<BlobFeed> feed{};
    std::thread thread{};
    bool kept = false;
  };
  bool is_here(const BundleLayer& layer) const;
  Result<> begin(Fetch& fetch);

  const BlobDir& blobs_;
  const std::string scratch_;
  PullSession& session_;
  std::mutex mutex_;  // guards all below
  std::map<Digest, Fetch> fetches_;
  std::map<const BundleLayer*, int> read_;  // of which try
};

}  // namespace podshim::image
