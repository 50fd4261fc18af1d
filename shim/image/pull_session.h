// PullSession: everything that one pull asks of registries. Endpoints are asked in their order until one has the
// image; layers come from that one, then from the others. Broken connections, 5xx and 429 are tried again with growing
// pauses; a layer goes on where it broke (Range). There is no overall deadline: a transfer ends when next to nothing
// comes for `stall`. Any thread. Content that is not what its digest says is fetched anew, whole, from each of the
// other endpoints in turn: the reader of the bytes has to begin anew, so that takes a feed and a call for each.
//
// Errors name every endpoint that was asked and what it said; the kind is that of the last one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "shim/image/byte_source.h"
#include "shim/image/http.h"
#include "shim/image/manifest.h"
#include "shim/image/reference.h"
#include "shim/image/registry.h"

namespace podshim::image {

struct RetryPolicy {
  int attempts = 5;  // in a row without a byte
  std::chrono::milliseconds first_pause{200};
};

// Where a blob is to come from, over the calls that fetch it.
struct BlobOrigins {
  bool corrupt = false;           // what came was not the blob: each of `next` has to send the whole of it
  std::vector<std::size_t> next;  // endpoints
  std::string before;             // what the others did
};

class PullSession {
 public:
  static Result<std::unique_ptr<PullSession>> open(const Reference& reference, const RegistryAuth& auth,
                                                   const PullSettings& settings, const RetryPolicy& retry = {});

  // What the reference's tag or digest names now; later calls begin with the endpoint that told.
  Result<Resolved> resolve();
  Result<std::string> manifest(const Digest& digest);
  Result<std::string> document(const Digest& digest);
  // Appends the blob to the feed and ends it, verified or failed. Its size must be what the manifest says.
  void fetch(const Descriptor& blob, BlobFeed& feed, std::atomic<std::uint64_t>* fetched, BlobOrigins& origins);
  // After a failure: whether fetch() with another feed has somebody else to ask.
  bool has_other(const BlobOrigins& origins) const { return !cancelled_ && !origins.next.empty(); }

  void cancel();  // what is under way ends with ErrorKind::cancelled

 private:
  PullSession(Reference reference, const RetryPolicy& retry) : reference_(std::move(reference)), retry_(retry) {}
  // Borrowed for one question; kept for the next, since a connection is worth keeping.
  class Connection;
  template <typename Call>
  std::invoke_result_t<Call, Registry&, HttpConnection&> ask(Call call, const BlobFeed* feed = nullptr);
  template <typename Call>
  std::invoke_result_t<Call, Registry&, HttpConnection&> ask_one(Registry& registry, bool last, const BlobFeed* feed,
                                                                 Call call);
  Result<> fetch_verified(const Descriptor& blob, BlobFeed& feed, std::atomic<std::uint64_t>* fetched,
                          BlobOrigins& origins);
  void note_corrupt(const std::vector<std::size_t>& from, BlobOrigins& origins) const;
  std::string name_of(std::size_t endpoint) const { return endpoints_[endpoint]->endpoint().base.authority(); }
  bool pause(Registry& registry, int attempt);  // false: cancelled

  const Reference reference_;
  const RetryPolicy retry_;
  std::shared_ptr<const Registries> registries_;
  std::vector<std::unique_ptr<Registry>> endpoints_;
  std::atomic<std::size_t> first_ = 0;  // of endpoints_: where the image was found
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;  // guards idle_
  std::condition_variable woken_;
  std::vector<std::unique_ptr<HttpConnection>> idle_;
};

}  // namespace podshim::image
