#include "shim/image/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "shim/image/manifest.h"

namespace podshim::image {
namespace {

constexpr std::size_t kBlock = 256UL << 10;
constexpr std::size_t kHead = 8;    // enough to tell the compression
constexpr int kZstdWindowLog = 27;  // 128 MiB, as the zstd program takes without being asked

Error broken(const std::string& subject, std::string why) {
  return Error::of(ErrorKind::invalid_argument, "inflate", subject, std::move(why));
}

class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(std::string subject) : subject_(std::move(subject)) {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;  // header and trailer are of the stream and are checked
  }

  Result<std::size_t> decode(std::string_view* in, char* out, std::size_t size) override {
    if (finished_) {
      // A member follows, perhaps: told by its first byte alone, since the second may not be here yet.
      if (in->empty() || junk_ || in->front() != '\x1f') {
        junk_ = junk_ || !in->empty();
        return 0;
      }
      isal_inflate_reset(&state_);
      state_.crc_flag = ISAL_GZIP;
      finished_ = false;
    }
    state_.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(in->data()));
    state_.avail_in = static_cast<std::uint32_t>(in->size());
    state_.next_out = reinterpret_cast<std::uint8_t*>(out);
    state_.avail_out = static_cast<std::uint32_t>(size);
    const int r = isal_inflate(&state_);
    if (r != ISAL_DECOMP_OK && r != ISAL_END_INPUT)
      return fail(broken(subject_, r == ISAL_INCORRECT_CHECKSUM ? "gzip: wrong checksum" : "gzip: not readable"));
    in->remove_prefix(in->size() - state_.avail_in);
    finished_ = state_.block_state == ISAL_BLOCK_FINISH;
    return size - state_.avail_out;
  }
  bool may_end() const override { return finished_; }

 private:
  std::string subject_;
  inflate_state state_{};
  bool finished_ = false, junk_ = false;
};

class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(std::string subject) : subject_(std::move(subject)), stream_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  }

  Result<std::size_t> decode(std::string_view* in, char* out, std::size_t size) override {
    if (!stream_) return fail(Error::sys("inflate", subject_, {}, ENOMEM));
    if (in->empty() && left_ == 0) return 0;
    ZSTD_inBuffer input{in->data(), in->size(), 0};
    ZSTD_outBuffer output{out, size, 0};
    left_ = ZSTD_decompressStream(stream_.get(), &output, &input);
    if (ZSTD_isError(left_)) return fail(broken(subject_, std::string("zstd: ") + ZSTD_getErrorName(left_)));
    in->remove_prefix(input.pos);
    return output.pos;
  }
  bool may_end() const override { return left_ == 0; }

 private:
  struct Free {
    void operator()(ZSTD_DStream* s) const { ZSTD_freeDStream(s); }
  };
  std::string subject_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  std::size_t left_ = 1;  // 0: between two frames
};

}  // namespace

Result<std::unique_ptr<Inflate>> Inflate::open(std::unique_ptr<ByteSource> source, std::string subject,
                                               std::uint64_t limit) {
  std::unique_ptr<Inflate> self(new Inflate(std::move(source), std::move(subject), limit));
  TRY(self->read_head());
  switch (detect_compression(self->in_)) {
    case LayerCompression::gzip:
      self->decoder_ = std::make_unique<GzipDecoder>(self->subject_);
      break;
    case LayerCompression::zstd:
      self->decoder_ = std::make_unique<ZstdDecoder>(self->subject_);
      break;
    case LayerCompression::none:
      break;
  }
  if (self->decoder_) self->buffer_.resize(kBlock);
  return self;
}

Result<std::unique_ptr<Inflate>> Inflate::open(Fd file, std::string subject, std::uint64_t limit) {
  auto source = file_source(std::move(file), subject);
  return open(std::move(source), std::move(subject), limit);
}

Result<std::unique_ptr<Inflate>> Inflate::open_bytes(std::string_view bytes, std::string subject, std::uint64_t limit) {
  return open(bytes_source(bytes), std::move(subject), limit);
}

// The first block of a slow source may be a byte.
Result<> Inflate::read_head() {
  TRY(refill());
  if (in_.size() >= kHead || source_ended_) return {};
  while (head_.size() < kHead && !source_ended_) {
    head_ += in_;
    TRY(refill());
  }
  head_ += in_;
  in_ = head_;
  return {};
}

Result<> Inflate::refill() {
  in_ = TRY(source_->next());
  source_ended_ = in_.empty();
  return {};
}

Result<std::string_view> Inflate::give(std::string_view block) {
  bytes_ += block.size();
  if (bytes_ > limit_) {
    return fail(Error::of(ErrorKind::resource_exhausted, "inflate", subject_,
                          "more than " + std::to_string(limit_) + " bytes: the limit of a layer"));
  }
  hash_.update(block.data(), block.size());
  return block;
}

Result<std::string_view> Inflate::decode() {
  for (;;) {
    if (in_.empty() && !source_ended_) TRY(refill());
    const std::size_t before = in_.size();
    const std::size_t size = TRY(decoder_->decode(&in_, buffer_.data(), buffer_.size()));
    if (size > 0) return std::string_view(buffer_.data(), size);
    if (in_.size() != before) continue;
    if (!in_.empty() && decoder_->may_end()) {  // not of the stream
      in_ = {};
      continue;
    }
    if (!in_.empty()) return fail(broken(subject_, "the stream stands still"));
    if (!source_ended_) continue;
    if (!decoder_->may_end()) return fail(broken(subject_, "the compressed stream ends early"));
    return std::string_view();
  }
}

Result<std::string_view> Inflate::next() {
  if (ended_) return std::string_view();
  std::string_view block;
  if (decoder_) {
    block = TRY(decode());
  } else {
    if (in_.empty() && !source_ended_) TRY(refill());
    block = std::exchange(in_, {});
  }
  ended_ = block.empty();
  return give(block);
}

Result<Digest> Inflate::finish() {
  while (!TRY(next()).empty()) {
  }
  return hash_.finish();
}

}  // namespace podshim::image
