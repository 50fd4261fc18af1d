// ByteSource: the bytes of a blob as they become available, in order. BlobFeed: a blob that one thread fetches into a
// file while others read it from there, so that a slow reader never slows the network and a broken connection goes on
// where it broke.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::image {

// One thread per object.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Valid until the next call; empty at the end. A source that verifies its bytes ends only when they are right.
  virtual Result<std::string_view> next() = 0;
};
std::unique_ptr<ByteSource> file_source(Fd file, std::string subject);  // from its beginning
std::unique_ptr<ByteSource> bytes_source(std::string_view bytes);

// One writer, any number of readers, each on its own thread.
class BlobFeed {
 public:
  static Result<std::shared_ptr<BlobFeed>> open(std::string path);  // made; removed by whoever owns its directory

  Result<> append(std::string_view bytes);
  // Last: success when everything is there and verified.
  void end(Result<> how);
  std::uint64_t size() const;  // so far

  // At most `size` bytes from `offset` on; waits for the first of them. 0 = the verified end.
  Result<std::size_t> read(char* buffer, std::size_t size, std::uint64_t offset) const;
  Result<> wait() const;  // for end()
  const std::string& path() const { return path_; }

 private:
  BlobFeed(std::string path, Fd file) : path_(std::move(path)), file_(std::move(file)) {}
  const std::string path_;
  const Fd file_;
  mutable std::mutex mutex_;  // guards the two below
  mutable std::condition_variable changed_;
  std::uint64_t size_ = 0;
  std::optional<Result<>> ended_;
};
std::unique_ptr<ByteSource> feed_source(std::shared_ptr<BlobFeed> feed);

}  // namespace podshim::image
