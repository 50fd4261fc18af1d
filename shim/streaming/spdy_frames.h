// Frames of SPDY/3.1 as moby/spdystream speaks it (draft-mbelshe-httpbis-spdy-00): no flow control windows, so that TCP
// is the backpressure. Pure codec; one thread.
//
// The decoder takes bytes cut anywhere. It keeps at most one control frame (64 KiB) and passes the payload of data
// frames on as it comes. An error, its own or the sink's, ends it: the connection cannot go on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "shim/streaming/spdy_headers.h"

namespace podshim::streaming::spdy {

inline constexpr std::uint16_t kVersion = 3;
inline constexpr std::size_t kFrameHeader = 8;
inline constexpr std::size_t kMaxControlFrame = 64 << 10;
inline constexpr std::size_t kMaxPayload = (1 << 24) - 1;

enum class FrameType : std::uint16_t {
  syn_stream = 1,
  syn_reply = 2,
  rst_stream = 3,
  settings = 4,
  ping = 6,
  goaway = 7,
  headers = 8,
  window_update = 9,
};
enum class ResetCode : std::uint32_t { protocol_error = 1, invalid_stream = 2, refused_stream = 3, cancel = 5 };

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual Result<> on_syn_stream(std::uint32_t stream, const Headers& headers, bool fin) = 0;
  virtual Result<> on_syn_reply(std::uint32_t stream, bool fin) = 0;
  virtual Result<> on_data(std::uint32_t stream, std::string_view bytes) = 0;  // never empty
  virtual Result<> on_fin(std::uint32_t stream) = 0;                           // by a data or header frame
  virtual Result<> on_reset(std::uint32_t stream, std::uint32_t code) = 0;
  virtual Result<> on_ping(std::uint32_t id) = 0;
  virtual Result<> on_goaway() = 0;
};

class FrameDecoder {
 public:
  explicit FrameDecoder(FrameSink& sink) : sink_(sink) {}
  Result<> feed(std::string_view bytes);

 private:
  Result<> begin_frame();
  Result<> take_data(std::string_view* bytes);
  Result<> control_frame();
  Result<> with_headers(FrameType type, std::string_view payload);

  FrameSink& sink_;
  HeaderInflater inflater_;
  std::string frame_;  // header, then the payload of a control frame
  std::size_t wanted_ = kFrameHeader;
  bool in_data_ = false, fin_ = false;
  std::uint32_t stream_ = 0;
  std::size_t data_left_ = 0;
};

std::string data_frame(std::uint32_t stream, std::string_view bytes, bool fin = false);  // at most kMaxPayload bytes
std::string syn_stream_frame(HeaderDeflater& deflater, std::uint32_t stream, const Headers& headers, bool fin = false);
std::string syn_reply_frame(HeaderDeflater& deflater, std::uint32_t stream);
std::string reset_frame(std::uint32_t stream, ResetCode code);
std::string ping_frame(std::uint32_t id);
std::string empty_settings_frame();  // changes nothing
std::string goaway_frame(std::uint32_t last_stream);

}  // namespace podshim::streaming::spdy
