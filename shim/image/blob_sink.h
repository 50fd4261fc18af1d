// BlobSink: the body of a blob, over any number of broken connections, into a BlobFeed; hashed, never longer than the
// manifest says. A server that ignores the range is read again from the start, and what is here is skipped. One thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "shim/image/byte_source.h"
#include "shim/image/http.h"
#include "shim/image/manifest.h"

namespace podshim::image {

class BlobSink : public HttpSink {
 public:
  BlobSink(const Descriptor& blob, BlobFeed& feed, std::atomic<std::uint64_t>* fetched)
      : blob_(blob), size_(static_cast<std::uint64_t>(blob.size)), feed_(feed), fetched_(fetched) {}

  void from(std::string endpoint) { from_ = std::move(endpoint); }  // who is asked next, for errors
  Result<> begin(const HttpResponse& response) override;
  Result<> write(std::string_view bytes) override;
  bool complete() const { return feed_.size() == size_; }
  Result<> verify(const std::string& from);  // once, when complete; `from`: all whose bytes it has

 private:
  Error wrong(std::string why) const;

  const Descriptor& blob_;
  const std::uint64_t size_;
  BlobFeed& feed_;
  std::atomic<std::uint64_t>* fetched_;
  std::uint64_t skip_ = 0;
  std::string from_;
  Sha256 hash_;
};

}  // namespace podshim::image
