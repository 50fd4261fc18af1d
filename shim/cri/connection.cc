#include "shim/cri/connection.h"

#include <nghttp2/nghttp2.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <limits>

namespace podshim::cri {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::size_t kWriteBytes = 256 << 10;        // gathered for one send
constexpr std::uint32_t kMaxCalls = 16384;            // at a time on a connection
constexpr std::int32_t kCallWindow = 1 << 20;         // bytes a client may send ahead, a call
constexpr std::int32_t kConnectionWindow = 16 << 20;  // and all of them before they are read
// Calls that a client may cancel, at once and in a second. libnghttp2's own 1,000 and 33 (CVE-2023-44487) are for
// servers whose clients are strangers: a kubelet of many Pods whose probes hang cancels more, and would be sent away
// (GOAWAY) in the middle of it. Here they are root's, and the lanes bound what a call can cost.
constexpr std::uint64_t kResets = std::numeric_limits<std::uint64_t>::max();

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Copied by nghttp2 while it is submitted.
nghttp2_nv field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view s) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(s.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

// The status of a call in header form, and what it points to.
struct StatusFields {
  explicit StatusFields(const Status& status)
      : code(std::to_string(static_cast<int>(status.code))), message(percent_encoded(status.message)) {}
  std::string code, message;
  nghttp2_nv code_field() const { return field("grpc-status", code); }
  nghttp2_nv message_field() const { return field("grpc-message", message); }
};

}  // namespace

// Called from C: what throws (memory) ends the connection and nothing else.
struct Connection::Callbacks {
  template <typename Work>
  static int guarded(Work work) {
    try {
      work();
      return 0;
    } catch (const std::exception&) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
  }
  static Call* call_of(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }
  static Connection& self(void* user) { return *static_cast<Connection*>(user); }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    return guarded([&] {
      auto& connection = self(user);
      const auto stream = frame->hd.stream_id;
      auto call = std::make_shared<Call>(connection.context_, StreamId{connection.number_, stream});
      connection.calls_.emplace(stream, call);
      nghttp2_session_set_stream_user_data(session, stream, call.get());
    });
  }
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t, void*) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers change nothing
    Call* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    return guarded([&] { call->header(view(name, name_size), view(value, value_size)); });
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                     std::size_t size, void* user) {
    Call* call = call_of(session, stream);
    if (call == nullptr) return 0;
    return guarded([&] { self(user).do_next(*call, call->data(view(bytes, size))); });
  }
  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Call* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    return guarded([&] { self(user).do_next(*call, call->end_of_request()); });
  }
  static int on_stream_close(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
    auto& calls = self(user).calls_;
    const auto it = calls.find(stream);
    if (it == calls.end()) return 0;
    it->second->gone();
    calls.erase(it);
    return 0;
  }
  static int on_error(nghttp2_session*, int, const char* text, std::size_t size, void* user) {
    return guarded([&] { self(user).why_.assign(text, size); });
  }
  static ssize_t read_answer(nghttp2_session* session, std::int32_t stream, std::uint8_t* to, std::size_t room,
                             std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& call = *static_cast<Call*>(source->ptr);
    Call::Piece piece{Call::Piece::What::end};
    int rc = guarded([&] { piece = call.read(to, room); });
    if (rc != 0 || piece.what == Call::Piece::What::bytes) return rc != 0 ? rc : static_cast<ssize_t>(piece.size);
    if (piece.what == Call::Piece::What::later) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    int submitted = 0;
    rc = guarded([&] {
      const StatusFields status(call.status());
      const std::array<nghttp2_nv, 2> fields = {status.code_field(), status.message_field()};
      submitted = nghttp2_submit_trailer(session, stream, fields.data(), status.message.empty() ? 1 : 2);
    });
    if (rc != 0 || submitted != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    return static_cast<ssize_t>(piece.size);
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* const all = [] {
      nghttp2_session_callbacks* made = nullptr;
      if (nghttp2_session_callbacks_new(&made) != 0) return made;
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(made, on_header);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
      nghttp2_session_callbacks_set_error_callback2(made, on_error);
      return made;
    }();
    return all;
  }
  static nghttp2_option* options() {
    static nghttp2_option* const all = [] {
      nghttp2_option* made = nullptr;
      if (nghttp2_option_new(&made) != 0) return made;
      nghttp2_option_set_no_http_messaging(made, 1);
      nghttp2_option_set_no_closed_streams(made, 1);
      nghttp2_option_set_stream_reset_rate_limit(made, kResets, kResets);
      return made;
    }();
    return all;
  }
};

Result<std::unique_ptr<Connection>> Connection::open(Fd socket, std::uint64_t number, CallContext& context) {
  std::unique_ptr<Connection> out(new Connection(std::move(socket), number, context));
  TRY(out->start());
  return out;
}

Result<> Connection::start() {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
    client_ = "pid " + std::to_string(peer.pid);
  const auto check = [this](int rc) -> Result<> {
    if (rc == 0) return {};
    return fail(Error::of(ErrorKind::internal, "start HTTP/2", client_, nghttp2_strerror(rc)));
  };
  TRY(check(nghttp2_session_server_new2(&session_, Callbacks::table(), this, Callbacks::options())));
  // A client that keeps to kMaxHeaders (Go's do) never sends what libnghttp2 ends a whole connection for: a name or
  // value of more than 64 KiB, or a block of more than 9 frames.
  const std::array<nghttp2_settings_entry, 3> settings = {{{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxCalls},
                                                           {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kCallWindow},
                                                           {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeaders}}};
  TRY(check(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size())));
  return check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow));
}

Connection::~Connection() {
  for (const auto& [stream, call] : calls_) call->gone();
  nghttp2_session_del(session_);
}

Error Connection::broken(long code) const {
  std::string why = nghttp2_strerror(static_cast<int>(code));
  return Error::of(ErrorKind::unavailable, "serve", client_, why_.empty() ? std::move(why) : why + ": " + why_);
}

Result<bool> Connection::receive() {
  std::array<std::uint8_t, kReadBytes> bytes;
  const ssize_t n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (n == 0) return false;
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return true;
    if (errno == ECONNRESET) return false;
    return fail(Error::sys("recv", client_));
  }
  const ssize_t read = nghttp2_session_mem_recv(session_, bytes.data(), static_cast<std::size_t>(n));
  if (read < 0) return fail(broken(read));
  return true;
}

Result<bool> Connection::flush() {
  for (;;) {
    while (out_.size() < kWriteBytes) {
      const std::uint8_t* bytes = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
      if (n < 0) return fail(broken(n));
      if (n == 0) break;
      out_ += view(bytes, static_cast<std::size_t>(n));
    }
    if (out_.empty()) {
      if (nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0) return true;
      if (why_.empty()) return false;
      return fail(broken(NGHTTP2_ERR_PROTO));
    }
    const ssize_t n = ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return true;
      if (errno == EPIPE || errno == ECONNRESET) return false;
      return fail(Error::sys("send", client_));
    }
    sent_ += static_cast<std::size_t>(n);
    if (sent_ < out_.size()) continue;
    out_.clear();
    sent_ = 0;
  }
}

bool Connection::has_more() const {
  return blocked() || std::any_of(calls_.begin(), calls_.end(), [](const auto& c) { return c.second->has_more(); });
}

void Connection::do_next(Call& call, Call::Act act) {
  int rc = 0;
  switch (act) {
    case Call::Act::none:
      break;
    case Call::Act::refuse:
      rc = refuse(call);
      break;
    case Call::Act::answer:
      rc = answer(call);
      break;
    case Call::Act::go_on:
      rc = nghttp2_session_resume_data(session_, call.at.stream);
      break;
    case Call::Act::finish:
      rc = finish(call);
  }
  // A call without an answer would wait for ever.
  if (rc != 0) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.at.stream, NGHTTP2_INTERNAL_ERROR);
}

int Connection::refuse(Call& call) {
  const std::string http = std::to_string(call.http_status());
  const StatusFields status(call.status());
  const std::array<nghttp2_nv, 5> fields = {field(":status", http), field("content-type", "application/grpc"),
                                            status.code_field(), field("grpc-accept-encoding", "identity"),
                                            status.message_field()};
  return nghttp2_submit_response(session_, call.at.stream, fields.data(), fields.size(), nullptr);
}

int Connection::answer(Call& call) {
  const std::array<nghttp2_nv, 2> fields = {field(":status", "200"), field("content-type", "application/grpc")};
  nghttp2_data_provider source{.source = {.ptr = &call}, .read_callback = Callbacks::read_answer};
  return nghttp2_submit_response(session_, call.at.stream, fields.data(), fields.size(), &source);
}

// nghttp2 asks for data, and so for the status behind it, when the window has room: with a client that takes nothing,
// never.
int Connection::finish(Call& call) {
  const auto stream = call.at.stream;
  if (nghttp2_session_get_stream_remote_window_size(session_, stream) <= 0 ||
      nghttp2_session_get_remote_window_size(session_) <= 0)
    return nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  const int rc = nghttp2_session_resume_data(session_, stream);
  return rc == NGHTTP2_ERR_INVALID_ARGUMENT ? 0 : rc;  // it did not wait: it is asked anyway
}

void Connection::say_goodbye() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

}  // namespace podshim::cri
