// What a client of the streaming server may send: the request header, SPDY frames with their header blocks, WebSocket
// channel messages with base64, sizes of terminals. The first byte says how the input is cut.
#include <cstdint>
#include <cstdlib>

#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/message_codec.h"
#include "shim/streaming/resize.h"
#include "shim/streaming/spdy_frames.h"

namespace {

using namespace podshim;
using namespace podshim::streaming;

class Sink final : public spdy::FrameSink {
 public:
  std::size_t bytes = 0;

 private:
  Result<> on_syn_stream(std::uint32_t stream, const spdy::Headers& headers, bool) override {
    if (stream == 0 || headers.size() > spdy::kMaxHeaders) std::abort();
    return {};
  }
  Result<> on_syn_reply(std::uint32_t, bool) override { return {}; }
  Result<> on_data(std::uint32_t stream, std::string_view piece) override {
    if (stream == 0 || piece.empty()) std::abort();
    bytes += piece.size();
    return {};
  }
  Result<> on_fin(std::uint32_t) override { return {}; }
  Result<> on_reset(std::uint32_t, std::uint32_t) override { return {}; }
  Result<> on_ping(std::uint32_t) override { return {}; }
  Result<> on_goaway() override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = data[0] % 64 + 1;
  Sink sink;
  spdy::FrameDecoder frames(sink);
  MessageDecoder binary(false), text(true);
  ResizeParser sizes;
  bool going = true;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    const auto part = input.substr(at, piece);
    going = going && frames.feed(part).has_value();
    bool ok = false;
    (void)binary.feed(part, part.size() < piece, &ok);
    (void)text.feed(part, part.size() < piece, &ok);
    (void)sizes.feed(part);
  }
  if (sink.bytes > input.size()) std::abort();
  (void)spdy::parse_header_block(input);
  (void)parse_upgrade(input);
  return 0;
}
