#include "tests/fuzz/shim-streaming/session_world.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/log.h"

#ifdef PODSHIM_SANITIZED
// Of sanitizer/allocator_interface.h, which clang ships and GCC does not; both have the functions.
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* block);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                                         void (*on_free)(const volatile void*));
#else
#include <malloc.h>
#endif

namespace podshim::streaming::test {
namespace {

constexpr std::size_t kWriteAtOnce = 64 << 10;
constexpr std::size_t kStep = 8 << 10, kPlainSizes = 224;  // most are small: large ones take long
constexpr std::size_t kMaxBlocked = 16;
constexpr int kNearBuffer = 32 << 10;  // so that a Pod that takes nothing is felt soon
constexpr int kMaxTurns = 100'000;
// 1 MiB from the client, 1.25 MiB to it, each in strings of up to twice that, and 1000 streams.
constexpr std::size_t kMaxHeap = 8 << 20;

#ifdef PODSHIM_SANITIZED
// The sanitizers' own figure counts what was freed and lies in their quarantine.
std::atomic<std::size_t> live{0};
void on_malloc(const volatile void*, std::size_t size) { live += size; }
void on_free(const volatile void* block) { live -= ::__sanitizer_get_allocated_size(block); }

std::size_t heap_in_use() {
  [[maybe_unused]] static const int hooks = ::__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  return live;
}
#else
std::size_t heap_in_use() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}
#endif

class Process final : public ProcessStream {
 public:
  explicit Process(int& count) : count_(count) { count_++; }
  ~Process() override { count_--; }
  void end_stdin() override {}

 private:
  int& count_;
};

}  // namespace

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "invariant broken: %s\n", what);
  std::abort();
}

unsigned Script::next() {
  if (rest_.empty()) return 0;
  const auto c = static_cast<unsigned char>(rest_.front());
  rest_.remove_prefix(1);
  return c;
}

std::size_t Script::size() {
  const std::size_t c = next();
  return c < kPlainSizes ? c : (c - kPlainSizes + 1) * kStep;
}

std::string_view Script::raw() {
  const auto out = rest_.substr(0, next());
  rest_.remove_prefix(std::min(rest_.size(), out.size()));
  return out;
}

// ---- ClientEnd

void ClientEnd::send(std::string_view bytes) {
  if (ended_ || closed_ || unread() + bytes.size() > kClientRoom) return;
  incoming_ += bytes;
  complete_read();
}

void ClientEnd::end() {
  ended_ = true;
  complete_read();
}

void ClientEnd::set_taking(bool on) {
  taking_ = on;
  complete_write();
}

void ClientEnd::complete(Done done, ErrorCode error, std::size_t n) {
  asio::post(io_, [done = std::move(done), error, n, self = shared_from_this()]() mutable { done(error, n); });
}

void ClientEnd::read_some(asio::mutable_buffer into, Done done) {
  must(!read_done_, "one read at a time");
  into_ = into;
  read_done_ = std::move(done);
  complete_read();
}

void ClientEnd::complete_read() {
  if (!read_done_) return;
  if (closed_) return complete(std::exchange(read_done_, {}), asio::error::operation_aborted, 0);
  const std::size_t n = std::min(into_.size(), unread());
  if (n == 0 && into_.size() != 0) {
    if (ended_) complete(std::exchange(read_done_, {}), asio::error::eof, 0);
    return;
  }
  std::memcpy(into_.data(), incoming_.data() + read_, n);
  read_ += n;
  if (read_ == incoming_.size() || read_ > kClientRoom / 4) {
    incoming_.erase(0, read_);
    read_ = 0;
  }
  complete(std::exchange(read_done_, {}), {}, n);
}

void ClientEnd::write_some(const WriteBuffers& from, Done done) {
  must(!write_done_, "one write at a time");
  must(!output_ended_, "no output after its end");
  from_ = from;
  write_done_ = std::move(done);
  complete_write();
}

void ClientEnd::complete_write() {
  if (!write_done_) return;
  if (closed_) return complete(std::exchange(write_done_, {}), asio::error::operation_aborted, 0);
  if (!taking_) return;
  std::size_t taken = 0;
  for (const auto& buffer : from_) {
    const std::size_t n = std::min(buffer.size(), kWriteAtOnce - taken);
    if (n != 0) took_({static_cast<const char*>(buffer.data()), n});
    taken += n;
  }
  complete(std::exchange(write_done_, {}), {}, taken);
}

void ClientEnd::close() {
  closed_ = true;
  complete_read();
  complete_write();
}

// ---- StreamRuntime

Fd StreamRuntime::near(bool* ok) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    *ok = false;
    return {};
  }
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &kNearBuffer, sizeof kNearBuffer);
  far_.emplace_back(ends[1]);
  return Fd(ends[0]);
}

Result<std::unique_ptr<ProcessStream>> StreamRuntime::process(const StreamRequest& request, StreamEnd ended,
                                                              bool exec) {
  auto out = std::make_unique<Process>(streams);
  bool ok = true;
  if (request.tty) out->terminal = near(&ok);
  if (!request.tty && request.in) out->in = near(&ok);
  if (request.out && (!request.tty || !exec)) out->out = near(&ok);
  if (request.err && !request.tty) out->err = near(&ok);
  if (!ok) return fail(Error::sys("exec", "a process"));
  running_.push_back(std::move(ended));
  opened++;
  return out;
}

Result<std::unique_ptr<ProcessStream>> StreamRuntime::open_exec(const std::string&,
                                                                const std::vector<std::string>& command,
                                                                const StreamRequest& request, StreamEnd ended,
                                                                std::stop_token) {
  if (command.empty()) return fail(Error::sys("exec", "", {}, ENOENT));
  return process(request, std::move(ended), true);
}

Result<std::unique_ptr<ProcessStream>> StreamRuntime::attach(const std::string&, const StreamRequest& request,
                                                             StreamEnd ended) {
  return process(request, std::move(ended), false);
}

Result<Fd> StreamRuntime::dial(const std::string&, std::uint16_t port) {
  bool ok = port != 81;
  if (!ok) return fail(Error::sys("connect", "localhost", {}, ECONNREFUSED));
  Fd fd = near(&ok);
  if (!ok) return fail(Error::sys("connect", "localhost"));
  dialled++;
  return fd;
}

void StreamRuntime::act(Script& script) {
  const unsigned which = script.next(), what = script.next();
  if (what % 8 == 0) takes = !takes;
  if (what % 8 == 1 && !running_.empty()) {
    const auto at = running_.begin() + which % running_.size();
    const auto told = std::move(*at);
    running_.erase(at);
    if (what < 128)
      told(static_cast<int>(what / 8));
    else
      told(fail(Error::of(ErrorKind::resource_exhausted, "attach", "a process", "reads too slowly")));
  }
  if (far_.empty()) return;
  Fd& far = far_[which % far_.size()];
  std::array<char, 4096> bytes;
  switch (what % 8) {
    case 2:
    case 3: {
      const std::string text(script.size(), 'p');
      (void)::send(far.get(), text.data(), text.size(), MSG_NOSIGNAL);
      break;
    }
    case 4:
      (void)::recv(far.get(), bytes.data(), bytes.size(), 0);
      break;
    case 5:
      ::shutdown(far.get(), SHUT_WR);
      break;
    case 6:
      ::shutdown(far.get(), SHUT_RD);
      break;
    case 7:
      far.reset();
      break;
    default:
      break;
  }
}

std::size_t StreamRuntime::take_all() {
  static std::array<char, 64 << 10> bytes;
  std::size_t sum = 0;
  for (const auto& far : far_) {
    ssize_t n = 0;
    while (far && (n = ::recv(far.get(), bytes.data(), bytes.size(), 0)) > 0) sum += static_cast<std::size_t>(n);
  }
  return sum;
}

bool StreamRuntime::somebody_is_there() const {
  char byte;
  for (const auto& far : far_)
    if (far && ::recv(far.get(), &byte, 1, 0) < 0 && errno == EAGAIN) return true;
  return false;
}

// ---- SessionWorld

SessionWorld::SessionWorld(ClientEnd::Took took, bool impatient)
    : io_(std::make_shared<asio::io_context>(1)),
      context_{.runtime = runtime,
               .io = io_,
               .limits = {},
               .blocking =
                   [this](const std::string&, std::function<void()> call) {
                     if (pool_is_full || blocked_.size() >= kMaxBlocked) return false;
                     blocked_.push_back(std::move(call));
                     return true;
                   },
               .closed =
                   [this](Session* session) {
                     must(++closed_ == 1 && session == session_.get(), "closed() once");
                     asio::post(*io_, [this] { session_.reset(); });  // as the server does it
                   }} {
  ::signal(SIGPIPE, SIG_IGN);
  log::configure("fuzz", log::Level::error);
  if (impatient) context_.limits.streams = context_.limits.grandchild = Limits::Duration(0);
  client_ = std::make_shared<ClientEnd>(*io_, std::move(took));
  heap_before_ = heap_in_use();
}

SessionWorld::~SessionWorld() = default;

void SessionWorld::open(Route route, const std::string& head) {
  session_ = open_session(context_, std::move(route), client_, head, header_length(head).value_or(head.size()));
  opened_++;
  session_->start();
}

bool SessionWorld::run_blocked() {
  if (holding || blocked_.empty()) return false;
  const auto call = std::move(blocked_.front());
  blocked_.pop_front();
  call();
  return true;
}

void SessionWorld::check_heap() const {
  const auto grown = static_cast<std::ptrdiff_t>(heap_in_use() - heap_before_);
  must(grown <= static_cast<std::ptrdiff_t>(client_->capacity() + kMaxHeap), "a session's memory is bounded");
}

void SessionWorld::turn() {
  for (int i = 0; i < kMaxTurns; i++) {
    io_->restart();
    bool busy = io_->poll() != 0;
    busy |= run_blocked();
    if (runtime.takes) busy |= runtime.take_all() != 0;
    check_heap();
    if (!busy) return;
  }
  must(false, "the loop comes to rest");
}

void SessionWorld::finish() {
  holding = false;
  runtime.takes = true;
  client_->set_taking(true);
  turn();
  const bool waits = session_ != nullptr && closed_ == 0 && !client_->is_awaited();
  must(!waits || may_wait_long, "the session goes on when everybody takes what comes");
  client_->end();
  turn();
  must(opened_ == 0 || closed_ == 1 || may_wait_long, "the session ends with its client");
  if (session_) session_->abort();
  session_.reset();
  turn();
  must(closed_ <= 1, "closed() once");
  must(client_.use_count() == 1, "nobody holds the socket of a session that is gone");
  must(runtime.streams == 0, "nobody holds a process of a session that is gone");
  must(!runtime.somebody_is_there(), "nobody holds a connection of a session that is gone");
}

}  // namespace podshim::streaming::test
