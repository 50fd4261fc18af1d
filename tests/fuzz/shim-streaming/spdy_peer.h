// The client of a SPDY session: makes frames by a script, reads ours and aborts on what no server may send. One thread.
#pragma once

#include <map>
#include <string>

#include "shim/streaming/spdy_frames.h"
#include "tests/fuzz/shim-streaming/session_world.h"

namespace podshim::streaming::test {

class SpdyPeer final : private spdy::FrameSink {
 public:
  SpdyPeer() : decoder_(*this) {}
  std::string act(Script& script);  // the frames of one step; "" = none
  void received(std::string_view frames);
  std::size_t input() const { return input_; }  // bytes of data that were sent
  std::size_t replied = 0, refused = 0, ended = 0, bytes = 0, pings = 0;

 private:
  struct Stream {
    bool replied = false, ended = false, reset = false;
  };
  std::string open(Script& script, bool in_order);
  std::uint32_t pick(Script& script) const;
  Stream& answered(std::uint32_t stream);

  Result<> on_syn_stream(std::uint32_t, const spdy::Headers&, bool) override;
  Result<> on_syn_reply(std::uint32_t stream, bool fin) override;
  Result<> on_data(std::uint32_t stream, std::string_view bytes) override;
  Result<> on_fin(std::uint32_t stream) override;
  Result<> on_reset(std::uint32_t stream, std::uint32_t code) override;
  Result<> on_ping(std::uint32_t id) override;
  Result<> on_goaway() override;

  spdy::FrameDecoder decoder_;
  spdy::HeaderDeflater deflater_;
  std::map<std::uint32_t, Stream> streams_;
  std::uint32_t next_ = 1;
  std::size_t input_ = 0, pings_sent_ = 0;
  bool wild_ = false;  // it has sent bytes that nobody has looked at
};

}  // namespace podshim::streaming::test
