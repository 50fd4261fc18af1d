#include "tests/unit/shim-streaming/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <thread>

#include "shim/streaming/big_endian.h"

namespace podshim::streaming::test {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

int status_of(Wire& wire, std::string* answer) {
  const std::string header = wire.take_header();
  if (answer != nullptr) *answer = header;
  const int status = header.size() > 12 ? std::atoi(header.c_str() + 9) : 0;
  if (status != 101 && answer != nullptr) {
    while (wire.receive()) {
    }
    *answer += wire.received;
  }
  return status;
}

}  // namespace

Wire::Wire(const std::string& url, int receive_buffer)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  const std::string_view scheme = url.starts_with("https") ? "https://127.0.0.1:" : "http://127.0.0.1:";
  EXPECT_TRUE(url.starts_with(scheme)) << url;
  const auto slash = url.find('/', scheme.size());
  path = slash == std::string::npos ? "/" : url.substr(slash);
  if (receive_buffer != 0) ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  const int one = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(url.c_str() + scheme.size())));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int rc = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  EXPECT_TRUE(rc == 0 || errno == EINPROGRESS) << errno_name(errno);
}

ssize_t Wire::put(std::string_view bytes) { return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
ssize_t Wire::get(char* into, std::size_t size) { return ::recv(fd_.get(), into, size, 0); }

void Wire::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = put(bytes);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno != EAGAIN) return;
    // A server that answers while we send must not wait for us.
    pollfd p{.fd = fd_.get(), .events = POLLOUT | POLLIN, .revents = 0};
    ASSERT_GT(::poll(&p, 1, std::chrono::milliseconds(kPatience).count()), 0) << "the server takes nothing";
    if ((p.revents & POLLIN) != 0 && !receive()) return;
  }
}

bool Wire::receive() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    char buffer[65536];
    const ssize_t n = get(buffer, sizeof buffer);
    if (n > 0) received.append(buffer, static_cast<std::size_t>(n));
    if (n >= 0 || errno != EAGAIN) return n > 0;
    pollfd p{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    ::poll(&p, 1, std::chrono::milliseconds(kPatience).count());
  }
  ADD_FAILURE() << "the server sends nothing";
  return false;
}

std::string Wire::take(std::size_t n) {
  while (received.size() < n)
    if (!receive()) return std::exchange(received, {});
  std::string out = received.substr(0, n);
  received.erase(0, n);
  return out;
}

std::string Wire::take_header() {
  std::size_t end = std::string::npos;
  while ((end = received.find("\r\n\r\n")) == std::string::npos)
    if (!receive()) return std::exchange(received, {});
  return take(end + 4);
}

std::size_t Wire::stuff(std::string_view frame) {
  std::size_t sent = 0;
  for (int full = 0; full < 20 && sent < (64U << 20);) {
    const auto rest = frame.substr(sent % frame.size());
    const ssize_t n = put(rest);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      full = 0;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      full++;
    }
  }
  return sent;
}

void Wire::drain() {
  char buffer[65536];
  while (get(buffer, sizeof buffer) > 0) {
  }
  received.clear();
}

void Wire::half_close() { ::shutdown(fd_.get(), SHUT_WR); }

void Wire::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd_.reset();
}

bool Wire::closed_by_server() {
  while (receive()) {
  }
  return !testing::Test::HasFatalFailure();
}

int upgrade_spdy(Wire& wire, const std::vector<std::string>& protocols, std::string* answer) {
  std::string request =
      "POST " + wire.path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
  for (const auto& protocol : protocols) request += "X-Stream-Protocol-Version: " + protocol + "\r\n";
  wire.send(request + "\r\n");
  return status_of(wire, answer);
}

int upgrade_websocket(Wire& wire, const std::vector<std::string>& protocols, std::string* answer,
                      const std::string& more_headers) {
  std::string request = "GET " + wire.path +
                        " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (!protocols.empty()) request += "Sec-WebSocket-Protocol: " + joined(protocols) + "\r\n";
  wire.send(request + more_headers + "\r\n");
  return status_of(wire, answer);
}

std::string WebSocket::frame(int opcode, std::string_view payload, bool last) {
  std::string out(1, static_cast<char>((last ? 0x80 : 0) | opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() <= UINT16_MAX) {
    out += static_cast<char>(0x80 | 126);
    put_u16(&out, static_cast<std::uint16_t>(payload.size()));
  } else {
    out += static_cast<char>(0x80 | 127);
    put_u32(&out, 0);
    put_u32(&out, static_cast<std::uint32_t>(payload.size()));
  }
  const std::string mask = "mask";
  out += mask;
  for (std::size_t i = 0; i < payload.size(); i++) out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

void WebSocket::send(int opcode, std::string_view payload, bool last, std::size_t piece) {
  bool first = true;
  do {
    const auto part = payload.substr(0, piece);
    payload.remove_prefix(part.size());
    wire_.send(frame(first ? opcode : 0, part, payload.empty() && last));
    first = false;
  } while (!payload.empty());
}

bool WebSocket::next(Message* message) {
  message->payload.clear();
  for (bool first = true;; first = false) {
    const std::string head = wire_.take(2);
    if (head.size() < 2) return false;
    if (first) message->opcode = head[0] & 0x0f;
    std::size_t size = head[1] & 0x7f;
    if (size == 126) {
      size = get_u16(wire_.take(2).c_str());
    } else if (size == 127) {
      size = get_u32(wire_.take(8).c_str() + 4);
    }
    const std::string payload = wire_.take(size);
    if (payload.size() < size) return false;
    message->payload += payload;
    if ((head[0] & 0x80) != 0) return true;
  }
}

std::uint32_t SpdyClient::open(const spdy::Headers& headers) {
  const std::uint32_t stream = next_;
  next_ += 2;
  raw(spdy::syn_stream_frame(deflater_, stream, headers));
  return stream;
}

void SpdyClient::send(std::uint32_t stream, std::string_view bytes, bool fin) {
  do {
    const auto part = bytes.substr(0, 32768);
    bytes.remove_prefix(part.size());
    raw(spdy::data_frame(stream, part, fin && bytes.empty()));
  } while (!bytes.empty());
}

void SpdyClient::raw(std::string_view bytes) {
  if (tunnel_ != nullptr) return tunnel_->send(2, bytes);
  wire_.send(bytes);
}

bool SpdyClient::step() {
  std::string bytes;
  if (tunnel_ != nullptr) {
    Message message;
    if (!tunnel_->next(&message) || message.opcode == 8) return false;
    bytes = std::move(message.payload);
  } else {
    if (wire_.received.empty() && !wire_.receive()) return false;
    bytes = std::exchange(wire_.received, {});
  }
  const auto fed = decoder_.feed(bytes);
  EXPECT_TRUE(fed) << fed.error().text();
  return fed.has_value();
}

Result<> SpdyClient::on_syn_reply(std::uint32_t stream, bool) {
  replied.insert(stream);
  return {};
}
Result<> SpdyClient::on_data(std::uint32_t stream, std::string_view bytes) {
  EXPECT_TRUE(replied.contains(stream)) << "data before the reply";
  EXPECT_FALSE(ended.contains(stream)) << "data after the end";
  data[stream] += bytes;
  return {};
}
Result<> SpdyClient::on_fin(std::uint32_t stream) {
  ended.insert(stream);
  return {};
}
Result<> SpdyClient::on_reset(std::uint32_t stream, std::uint32_t) {
  resets.insert(stream);
  ended.insert(stream);
  return {};
}
Result<> SpdyClient::on_ping(std::uint32_t id) {
  pings.push_back(id);
  return {};
}

}  // namespace podshim::streaming::test
