#include "shim/monitor/connection.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "common/sys/memfd.h"

namespace podshim {
namespace {

constexpr int kPacketsPerWakeup = 8;

// A payload in a sealed memfd, mapped for the length of one request.
class Mapped {
 public:
  Result<> open(const Fd& memfd, std::uint32_t length) {
    struct stat st{};
    if (::fstat(memfd.get(), &st) != 0) return fail(Error::sys("fstat", "payload"));
    if (!sys::is_sealed(memfd) || st.st_size < length)
      return fail(Error::invalid("payload", "memfd short or unsealed"));
    void* at = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, memfd.get(), 0);
    if (at == MAP_FAILED) return fail(Error::sys("mmap", "payload"));
    view_ = {static_cast<const char*>(at), length};
    return {};
  }
  ~Mapped() {
    if (!view_.empty()) ::munmap(const_cast<char*>(view_.data()), view_.size());
  }
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  std::string_view view() const { return view_; }

 private:
  std::string_view view_;
};

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

void Connection::ready(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  Result<> received;
  for (int i = 0; i < kPacketsPerWakeup && received; i++) received = receive();
  if (!received && !received.error().is(EAGAIN)) owner_.connection_lost(*this);
}

Result<> Connection::receive() {
  auto packet = TRY(sys::receive_packet(socket_));
  if (packet.bytes.empty()) return fail(Error::sys("recv", "daemon", {}, ECONNRESET));
  return take_apart(packet);
}

// An error here ends the connection: whoever speaks like that is no daemon of ours.
Result<> Connection::take_apart(sys::Packet& packet) {
  Request request{.header = {}, .payload = {}, .fds = packet.fds, .connection = serial_};
  PayloadReader reader(packet.bytes);
  if (!reader.record(&request.header) || request.header.magic != kMonitorMagic || request.header.length > kMaxPayload)
    return fail(Error::invalid("message", "header"));
  Mapped mapped;
  if ((request.header.flags & kPayloadInMemfd) != 0) {
    Fd memfd = request.take_fd();
    if (!memfd) return fail(Error::invalid("message", "payload missing"));
    TRY(mapped.open(memfd, request.header.length));
    request.payload = mapped.view();
  } else if (!reader.bytes(request.header.length, &request.payload)) {
    return fail(Error::invalid("message", "short"));
  }
  owner_.handle(*this, request);
  return {};
}

Result<> Connection::send_now(std::string_view header, std::string_view payload, const Fd& fd) {
  const std::string_view parts[] = {header, payload};
  const int fds[] = {fd.get()};
  return sys::send_packet(socket_, parts, std::span(fds, fd ? 1 : 0));
}

void Connection::send(MessageType type, std::uint64_t request, std::string_view payload, Fd fd) {
  MessageHeader header{.type = type, .length = static_cast<std::uint32_t>(payload.size()), .request = request};
  if (payload.size() > kInlinePayload) {
    auto sealed = sys::sealed_memfd("podshim-message", sys::MemfdKind::data, std::span(&payload, 1));
    if (!sealed) return send_error(request, sealed.error());
    fd = std::move(*sealed);
    header.flags |= kPayloadInMemfd;
    payload = {};
  }
  if (queue_.empty()) {
    auto sent = send_now(bytes_of(header), payload, fd);
    // Any other error is a lost connection; the loop learns that by itself.
    if (sent || !sent.error().is(EAGAIN)) return;
    loop_.change(socket_, this, EPOLLIN | EPOLLOUT);
  }
  queue_.push_back({std::string(bytes_of(header)).append(payload), std::move(fd)});
}

void Connection::send_error(std::uint64_t request, const Error& error, std::int32_t step) {
  ErrorRecord record{.kind = static_cast<std::uint32_t>(error.kind), .code = error.code, .step = step};
  std::string_view operation = error.op;
  record.operation = static_cast<std::uint32_t>(operation.size());
  record.subject = static_cast<std::uint32_t>(error.subject.size());
  record.detail = static_cast<std::uint32_t>(error.detail.size());
  PayloadWriter writer;
  writer.record(record).text(operation).text(error.subject).text(error.detail);
  send(MessageType::error, request, writer.take());
}

void Connection::flush() {
  std::size_t sent = 0;
  while (sent < queue_.size() && send_now(queue_[sent].bytes, {}, queue_[sent].fd)) sent++;
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent));
  if (queue_.empty()) loop_.change(socket_, this, EPOLLIN);
}

}  // namespace podshim
