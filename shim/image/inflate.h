// Inflate: a blob through the one decoder that its first bytes tell (gzip by ISA-L, zstd, or none; media types are
// often wrong), as blocks, hashed on the way; at most `limit` bytes come out (resource_exhausted above: a bomb ends
// here). Gzip members and zstd frames may follow one another; what follows a gzip member and is none is ignored, as
// gzip does. One thread per object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/byte_source.h"
#include "shim/image/digest.h"

namespace podshim::image {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Takes from `in`, writes to `out`; gives how much it wrote. 0 with bytes left in `in`: they are not of the stream.
  virtual Result<std::size_t> decode(std::string_view* in, char* out, std::size_t size) = 0;
  virtual bool may_end() const = 0;  // the input may stop here
};

class Inflate {
 public:
  static Result<std::unique_ptr<Inflate>> open(std::unique_ptr<ByteSource> source, std::string subject,
                                               std::uint64_t limit);
  static Result<std::unique_ptr<Inflate>> open(Fd file, std::string subject, std::uint64_t limit);
  static Result<std::unique_ptr<Inflate>> open_bytes(std::string_view bytes, std::string subject, std::uint64_t limit);

  // The next block, valid until the next call; empty at the end.
  Result<std::string_view> next();
  // Reads what is left of the blob, then gives the digest of everything that came out. Once.
  Result<Digest> finish();
  std::uint64_t bytes() const { return bytes_; }
  const std::string& subject() const { return subject_; }

 private:
  Inflate(std::unique_ptr<ByteSource> source, std::string subject, std::uint64_t limit)
      : source_(std::move(source)), subject_(std::move(subject)), limit_(limit) {}
  Result<> read_head();
  Result<> refill();
  Result<std::string_view> decode();
  Result<std::string_view> give(std::string_view block);

  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<Decoder> decoder_;  // nullptr: the bytes are the content
  std::string subject_, head_, buffer_;
  std::string_view in_;  // not decoded yet
  std::uint64_t limit_ = 0, bytes_ = 0;
  bool source_ended_ = false, ended_ = false;
  Sha256 hash_;
};

}  // namespace podshim::image
