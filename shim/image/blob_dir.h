// BlobDir: content-addressed files, <dir>/sha256/<hex>, as in an OCI layout. A blob appears by rename(2) or link(2)
// once its digest was checked; the caller syncs. Any thread; two writers of one blob leave the same bytes. What is here
// is counted as it comes and goes, so that usage() never waits and never looks at the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/digest.h"

namespace podshim::image {

class BlobDir {
 public:
  // `dir` is made; `scratch` is a directory on the same file system.
  static Result<BlobDir> open(const std::string& dir, const std::string& scratch);

  bool has(const Digest& digest) const;
  std::string path(const Digest& digest) const { return dir_ + "/sha256/" + digest.hex(); }
  Result<Fd> open_blob(const Digest& digest) const;  // not_found
  // Reads and checks; for documents of up to kMaxDocument bytes.
  Result<std::string> read(const Digest& digest) const;

  Result<> put(const Digest& digest, std::string_view bytes) const;
  // Copies from a file that another may own, hashing on the way; wrong content is an error and leaves nothing.
  Result<> copy(const Digest& digest, const Fd& from, const std::string& subject) const;
  // A file on this file system whose digest was computed when it was written.
  Result<> link(const Digest& digest, const std::string& from) const;

  // The same, and the file goes: it takes the place of what may be there.
  Result<> adopt(const Digest& digest, const std::string& from) const;

  // Removes every blob that is not in `keep`, and counts anew what stays; before the first call usage() knows only what
  // came since open().
  Result<> keep_only(const std::set<Digest>& keep) const;
  struct Usage {
    std::uint64_t bytes = 0, files = 0;  // blocks of the disk
  };
  Usage usage() const { return {count_->bytes, count_->files}; }
  Result<std::vector<Digest>> list() const;

 private:
  struct Count {
    std::mutex changes;  // one blob, or one collection, at a time: what it changes on the disk and in the numbers
    std::atomic<std::uint64_t> bytes = 0, files = 0;
  };
  using Call = int (*)(const char* from, const char* to);
  int place(Call call, const std::string& from, const Digest& digest) const;  // counted; with errno
  BlobDir(std::string dir, std::string scratch) : dir_(std::move(dir)), scratch_(std::move(scratch)) {}
  std::string dir_, scratch_;
  std::unique_ptr<Count> count_ = std::make_unique<Count>();
};

}  // namespace podshim::image
