#include "shim/streaming/spdy_frames.h"

#include "shim/streaming/big_endian.h"

namespace podshim::streaming::spdy {
namespace {

constexpr std::uint32_t kControlBit = 0x80000000, kStreamMask = 0x7fffffff, kLengthMask = 0xffffff;
constexpr std::uint8_t kFlagFin = 1;
constexpr std::size_t kSynStreamFixed = 10;  // stream, associated stream, priority, slot

std::unexpected<Error> bad(std::string why) {
  return fail(Error::of(ErrorKind::invalid_argument, "decode", "SPDY frame", std::move(why)));
}

std::string control_frame_of(FrameType type, std::uint8_t flags, std::string_view payload) {
  std::string out;
  out.reserve(kFrameHeader + payload.size());
  put_u16(&out, 0x8000 | kVersion);
  put_u16(&out, static_cast<std::uint16_t>(type));
  put_u32(&out, std::uint32_t{flags} << 24 | static_cast<std::uint32_t>(payload.size()));
  return out.append(payload);
}

}  // namespace

Result<> FrameDecoder::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (in_data_) {
      TRY(take_data(&bytes));
      continue;
    }
    const std::size_t n = std::min(wanted_ - frame_.size(), bytes.size());
    frame_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (frame_.size() < wanted_) break;
    if (frame_.size() == kFrameHeader) TRY(begin_frame());
    if (!in_data_ && frame_.size() == wanted_) {
      TRY(control_frame());
      frame_.clear();
      wanted_ = kFrameHeader;
    }
  }
  return {};
}

Result<> FrameDecoder::begin_frame() {
  const std::uint32_t first = get_u32(frame_.data()), second = get_u32(frame_.data() + 4);
  const std::size_t length = second & kLengthMask;
  fin_ = (second >> 24 & kFlagFin) != 0;
  if ((first & kControlBit) == 0) {
    stream_ = first;
    data_left_ = length;
    frame_.clear();
    if (stream_ == 0) return bad("data for stream 0");
    if (length == 0) return fin_ ? sink_.on_fin(stream_) : Result<>();
    in_data_ = true;
    return {};
  }
  const std::uint32_t version = first >> 16 & 0x7fff;
  if (version != kVersion) return bad("version " + std::to_string(version));
  if (length > kMaxControlFrame) return bad("control frame of " + std::to_string(length) + " bytes");
  wanted_ = kFrameHeader + length;
  return {};
}

Result<> FrameDecoder::take_data(std::string_view* bytes) {
  const auto piece = bytes->substr(0, data_left_);
  bytes->remove_prefix(piece.size());
  data_left_ -= piece.size();
  in_data_ = data_left_ != 0;
  TRY(sink_.on_data(stream_, piece));
  if (!in_data_ && fin_) TRY(sink_.on_fin(stream_));
  return {};
}

Result<> FrameDecoder::control_frame() {
  const auto type = static_cast<FrameType>(get_u16(frame_.data() + 2));
  const auto payload = std::string_view(frame_).substr(kFrameHeader);
  switch (type) {
    case FrameType::syn_stream:
    case FrameType::syn_reply:
    case FrameType::headers:
      return with_headers(type, payload);
    case FrameType::rst_stream:
      if (payload.size() != 8) return bad("RST_STREAM of " + std::to_string(payload.size()) + " bytes");
      return sink_.on_reset(get_u32(payload.data()) & kStreamMask, get_u32(payload.data() + 4));
    case FrameType::ping:
      if (payload.size() != 4) return bad("PING of " + std::to_string(payload.size()) + " bytes");
      return sink_.on_ping(get_u32(payload.data()));
    case FrameType::goaway:
      return sink_.on_goaway();
    case FrameType::settings:
    case FrameType::window_update:
      return {};
  }
  return {};  // unknown ones are to be ignored
}

Result<> FrameDecoder::with_headers(FrameType type, std::string_view payload) {
  const std::size_t fixed = type == FrameType::syn_stream ? kSynStreamFixed : 4;
  if (payload.size() < fixed) return bad("is shorter than its fixed part");
  const std::uint32_t stream = get_u32(payload.data()) & kStreamMask;
  if (stream == 0) return bad("opens stream 0");
  // Also where they do not matter: all blocks of a connection are one zlib stream.
  const Headers headers = TRY(inflater_.inflate(payload.substr(fixed)));
  if (type == FrameType::syn_stream) return sink_.on_syn_stream(stream, headers, fin_);
  if (type == FrameType::syn_reply) return sink_.on_syn_reply(stream, fin_);
  return fin_ ? sink_.on_fin(stream) : Result<>();
}

std::string data_frame(std::uint32_t stream, std::string_view bytes, bool fin) {
  std::string out;
  out.reserve(kFrameHeader + bytes.size());
  put_u32(&out, stream & kStreamMask);
  put_u32(&out, std::uint32_t{fin ? kFlagFin : 0u} << 24 | static_cast<std::uint32_t>(bytes.size()));
  return out.append(bytes);
}

std::string syn_stream_frame(HeaderDeflater& deflater, std::uint32_t stream, const Headers& headers, bool fin) {
  std::string payload;
  put_u32(&payload, stream);
  put_u32(&payload, 0);
  put_u16(&payload, 0);
  return control_frame_of(FrameType::syn_stream, fin ? kFlagFin : 0, payload + deflater.deflate(headers));
}

std::string syn_reply_frame(HeaderDeflater& deflater, std::uint32_t stream) {
  std::string payload;
  put_u32(&payload, stream);
  return control_frame_of(FrameType::syn_reply, 0, payload + deflater.deflate({}));
}

std::string reset_frame(std::uint32_t stream, ResetCode code) {
  std::string payload;
  put_u32(&payload, stream);
  put_u32(&payload, static_cast<std::uint32_t>(code));
  return control_frame_of(FrameType::rst_stream, 0, payload);
}

std::string ping_frame(std::uint32_t id) {
  std::string payload;
  put_u32(&payload, id);
  return control_frame_of(FrameType::ping, 0, payload);
}

std::string empty_settings_frame() {
  std::string payload;
  put_u32(&payload, 0);  // entries
  return control_frame_of(FrameType::settings, 0, payload);
}

std::string goaway_frame(std::uint32_t last_stream) {
  std::string payload;
  put_u32(&payload, last_stream);
  put_u32(&payload, 0);
  return control_frame_of(FrameType::goaway, 0, payload);
}

}  // namespace podshim::streaming::spdy
