// SpdyConnection: the streams of one SPDY/3.1 client over a Carrier, plain or tunnelled. Loop thread.
//
// The client opens all streams (odd ids, growing). A frame that breaks the protocol ends the connection: on_gone() with
// the reason. What is sent on a stream that is over is dropped, as is what comes for one.
#pragma once

#include <unordered_map>

#include "shim/streaming/carrier.h"
#include "shim/streaming/spdy_frames.h"

namespace podshim::streaming {

class SpdyHandler {
 public:
  virtual ~SpdyHandler() = default;
  // false: the stream is refused.
  virtual bool on_stream(std::uint32_t stream, const spdy::Headers& headers) = 0;
  virtual void on_stream_bytes(std::uint32_t stream, std::string_view bytes) = 0;
  virtual void on_stream_end(std::uint32_t stream) = 0;    // of the client's half
  virtual void on_stream_reset(std::uint32_t stream) = 0;  // of both
  virtual void on_drained() = 0;
  virtual void on_gone(const std::string& why) = 0;
};

class SpdyConnection final : private CarrierHandler, private spdy::FrameSink {
 public:
  explicit SpdyConnection(std::shared_ptr<Carrier> carrier) : carrier_(std::move(carrier)), decoder_(*this) {}
  ~SpdyConnection() override { carrier_->abort(); }

  void start(SpdyHandler* handler);
  void write(std::uint32_t stream, std::string_view bytes);
  void end(std::uint32_t stream);    // our half
  void reset(std::uint32_t stream);  // both
  std::size_t streams() const { return streams_.size(); }
  Carrier& carrier() { return *carrier_; }
  void abort();

 private:
  struct Halves {
    bool ours = true, theirs = true;  // open
  };

  void on_bytes(std::string_view bytes, bool last) override;
  void on_drained() override;
  void on_gone(const std::string& why) override;
  Result<> on_syn_stream(std::uint32_t stream, const spdy::Headers& headers, bool fin) override;
  Result<> on_syn_reply(std::uint32_t stream, bool fin) override;
  Result<> on_data(std::uint32_t stream, std::string_view bytes) override;
  Result<> on_fin(std::uint32_t stream) override;
  Result<> on_reset(std::uint32_t stream, std::uint32_t code) override;
  Result<> on_ping(std::uint32_t id) override;
  Result<> on_goaway() override;

  const std::shared_ptr<Carrier> carrier_;
  SpdyHandler* handler_ = nullptr;
  spdy::FrameDecoder decoder_;
  spdy::HeaderDeflater deflater_;
  std::unordered_map<std::uint32_t, Halves> streams_;
  std::uint32_t last_stream_ = 0;
};

}  // namespace podshim::streaming
