// The other side of the streaming server, for tests: blocking clients over plain sockets. SPDY by our own codec (crictl
// tests it against another one), WebSocket by hand. Every wait ends after kPatience with a test failure.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/fd.h"
#include "shim/streaming/spdy_frames.h"

namespace podshim::streaming::test {

inline constexpr std::chrono::seconds kPatience{60};  // a loaded, instrumented machine

// A TCP connection to the server of a URL; TlsWire puts TLS over it.
class Wire {
 public:
  explicit Wire(const std::string& url, int receive_buffer = 0);
  virtual ~Wire() = default;
  void send(std::string_view bytes);  // gives up silently when the server has closed
  // Reads what is there, waiting for something: false at the end of the connection (or a failure after kPatience).
  bool receive();
  std::string take(std::size_t n);  // from the received bytes; waits
  std::string take_header();        // up to the empty line
  // Sends `frame` again and again until the server has taken nothing for a while; what it took, 64 MiB at most.
  std::size_t stuff(std::string_view frame);
  void drain();  // throws away what is there
  virtual void half_close();
  void reset();             // closes with RST
  bool closed_by_server();  // waits for it
  int fd() const { return fd_.get(); }

  std::string path, received;

 protected:
  // As send(2) and recv(2): errno says EAGAIN when it is not the time.
  virtual ssize_t put(std::string_view bytes);
  virtual ssize_t get(char* into, std::size_t size);

 private:
  Fd fd_;
};

// The status of the response to an upgrade request, 101 when it went well.
int upgrade_spdy(Wire& wire, const std::vector<std::string>& protocols, std::string* answer = nullptr);
int upgrade_websocket(Wire& wire, const std::vector<std::string>& protocols, std::string* answer = nullptr,
                      const std::string& more_headers = {});

struct Message {
  int opcode = 0;  // 1 text, 2 binary, 8 close, 9 ping, 10 pong
  std::string payload;
};
class WebSocket {
 public:
  explicit WebSocket(Wire& wire) : wire_(wire) {}
  static std::string frame(int opcode, std::string_view payload, bool last = true);
  void send(int opcode, std::string_view payload, bool last = true, std::size_t piece = SIZE_MAX);
  bool next(Message* message);  // false: the connection ended

 private:
  Wire& wire_;
};

// Channels of exec and attach over either transport, as far as tests read them.
struct Output {
  std::string out, err, error;
  int close_code = 0;  // WebSocket
};

class SpdyClient final : public spdy::FrameSink {
 public:
  // `tunnel`: the bytes go within binary messages of it.
  explicit SpdyClient(Wire& wire, WebSocket* tunnel = nullptr) : wire_(wire), tunnel_(tunnel), decoder_(*this) {}
  std::uint32_t open(const spdy::Headers& headers);
  void send(std::uint32_t stream, std::string_view bytes, bool fin = false);
  void raw(std::string_view bytes);
  bool step();  // reads something; false: the connection ended
  template <typename Condition>
  bool until(Condition condition) {
    while (!condition())
      if (!step()) return condition();
    return true;
  }
  bool until_ended(std::uint32_t stream) {
    return until([&] { return ended.contains(stream); });
  }

  std::map<std::uint32_t, std::string> data;
  std::set<std::uint32_t> replied, ended, resets;
  std::vector<std::uint32_t> pings;

 private:
  Result<> on_syn_stream(std::uint32_t, const spdy::Headers&, bool) override { return {}; }
  Result<> on_syn_reply(std::uint32_t stream, bool) override;
  Result<> on_data(std::uint32_t stream, std::string_view bytes) override;
  Result<> on_fin(std::uint32_t stream) override;
  Result<> on_reset(std::uint32_t stream, std::uint32_t) override;
  Result<> on_ping(std::uint32_t id) override;
  Result<> on_goaway() override { return {}; }

  Wire& wire_;
  WebSocket* tunnel_;
  spdy::FrameDecoder decoder_;
  spdy::HeaderDeflater deflater_;
  std::uint32_t next_ = 1;
};

}  // namespace podshim::streaming::test
