// BlobDir: content-addressed files, <dir>/sha256/<hex>, as in an OCI layout. A blob appears by rename(2) or link(2)
// once its digest was checked; the caller syncs. Any thread; two writers of one blob leave the same bytes.
#pragma once

#include <cstdint>
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

  // Removes every blob that is not in `keep`; returns the bytes and files that stay.
  struct Usage {
    std::uint64_t bytes = 0, files = 0;
  };
  Result<Usage> keep_only(const std::set<Digest>& keep) const;
  Result<std::vector<Digest>> list() const;

 private:
  BlobDir(std::string dir, std::string scratch) : dir_(std::move(dir)), scratch_(std::move(scratch)) {}
  std::string dir_, scratch_;
};

}  // namespace podshim::image
