#include "shim/image/byte_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::image {
namespace {

constexpr std::size_t kBlock = 256UL << 10;
// Start writing to the disk while the rest is fetched: the syncfs at the end then finds little to do.
constexpr std::uint64_t kWriteBack = 8UL << 20;

class FileSource : public ByteSource {
 public:
  FileSource(Fd file, std::string subject) : file_(std::move(file)), subject_(std::move(subject)) {}
  Result<std::string_view> next() override {
    ssize_t n = sys::retry([&] { return ::pread(file_.get(), buffer_.data(), buffer_.size(), at_); });
    if (n < 0) return fail(Error::sys("read", subject_));
    at_ += n;
    return std::string_view(buffer_.data(), static_cast<std::size_t>(n));
  }

 private:
  Fd file_;
  std::string subject_, buffer_ = std::string(kBlock, '\0');
  off_t at_ = 0;
};

class BytesSource : public ByteSource {
 public:
  explicit BytesSource(std::string_view bytes) : bytes_(bytes) {}
  Result<std::string_view> next() override { return std::exchange(bytes_, {}); }

 private:
  std::string_view bytes_;
};

class FeedSource : public ByteSource {
 public:
  explicit FeedSource(std::shared_ptr<BlobFeed> feed) : feed_(std::move(feed)) {}
  Result<std::string_view> next() override {
    std::size_t n = TRY(feed_->read(buffer_.data(), buffer_.size(), at_));
    at_ += n;
    return std::string_view(buffer_.data(), n);
  }

 private:
  std::shared_ptr<BlobFeed> feed_;
  std::string buffer_ = std::string(kBlock, '\0');
  std::uint64_t at_ = 0;
};

}  // namespace

std::unique_ptr<ByteSource> file_source(Fd file, std::string subject) {
  return std::make_unique<FileSource>(std::move(file), std::move(subject));
}
std::unique_ptr<ByteSource> bytes_source(std::string_view bytes) { return std::make_unique<BytesSource>(bytes); }
std::unique_ptr<ByteSource> feed_source(std::shared_ptr<BlobFeed> feed) {
  return std::make_unique<FeedSource>(std::move(feed));
}

Result<std::shared_ptr<BlobFeed>> BlobFeed::open(std::string path) {
  fault_point("make fetch file");
  Fd file = TRY(sys::open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  return std::shared_ptr<BlobFeed>(new BlobFeed(std::move(path), std::move(file)));
}

Result<> BlobFeed::append(std::string_view bytes) {
  TRY(sys::write_all(file_, bytes, path_));
  std::uint64_t before = 0, after = 0;
  {
    std::lock_guard lock(mutex_);
    before = size_;
    after = size_ += bytes.size();
  }
  changed_.notify_all();
  if (before / kWriteBack != after / kWriteBack) {
    off_t from = static_cast<off_t>(before / kWriteBack * kWriteBack);
    ::sync_file_range(file_.get(), from, static_cast<off_t>(kWriteBack), SYNC_FILE_RANGE_WRITE);  // a hint
  }
  return {};
}

void BlobFeed::end(Result<> how) {
  fault_point("blob fetched");
  {
    std::lock_guard lock(mutex_);
    ended_ = std::move(how);
  }
  changed_.notify_all();
}

std::uint64_t BlobFeed::size() const {
  std::lock_guard lock(mutex_);
  return size_;
}

Result<std::size_t> BlobFeed::read(char* buffer, std::size_t size, std::uint64_t offset) const {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return size_ > offset || ended_; });
    if (ended_ && !*ended_) return fail(ended_->error());
    if (size_ <= offset) return 0;
    size = std::min<std::size_t>(size, size_ - offset);
  }
  ssize_t n = sys::retry([&] { return ::pread(file_.get(), buffer, size, static_cast<off_t>(offset)); });
  if (n < 0) return fail(Error::sys("read", path_));
  if (n == 0) return fail(Error::of(ErrorKind::internal, "read", path_, "the file became shorter"));
  return static_cast<std::size_t>(n);
}

Result<> BlobFeed::wait() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_.has_value(); });
  return *ended_;
}

}  // namespace podshim::image
