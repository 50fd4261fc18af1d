#include "shim/cri/server.h"

#include <google/protobuf/stubs/logging.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <unordered_map>

#include "common/log.h"
#include "shim/cri/connection.h"

namespace podshim::cri {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kSlowCall{10};
constexpr milliseconds kAcceptPause{50};  // after EMFILE and the like: not in a hot loop
constexpr milliseconds kGoodbye{200};     // for answers on their way, once the last call is done
// What epoll says was ready; connections are numbered from kFirstConnection.
constexpr std::uint64_t kInbox = 0, kListener = 1, kFirstConnection = 2;

// Protobuf's own messages become lines of our log.
void take_over_logs() {
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel level, const char* file, int line, const std::string& text) {
        log::write(level >= google::protobuf::LOGLEVEL_WARNING ? log::Level::warn : log::Level::debug, "protobuf",
                   {{"file", file}, {"line", line}, {"text", text}});
      });
}

class EpollServer final : public Server {
 public:
  EpollServer(Border& border, Listener& listener)
      : border_(border), listener_(listener), calls_{.border = border, .lanes = lanes_, .inbox = inbox_} {}
  ~EpollServer() override {
    if (thread_.joinable()) (void)stop(milliseconds(0));
    end_thread(Stop::now);
  }

  Result<> start() {
    take_over_logs();
    TRY(inbox_.open());
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return fail(Error::sys("epoll_create1", listener_.path()));
    TRY(watch(EPOLL_CTL_ADD, inbox_.fd(), kInbox, EPOLLIN));
    TRY(watch(EPOLL_CTL_ADD, listener_.fd(), kListener, EPOLLIN));
    thread_ = std::thread([this] { run(); });
    return {};
  }

  bool stop(milliseconds patience) override {
    tell(Stop::accepting);
    if (!lanes_.drain(patience)) return false;
    end_thread(Stop::after_goodbye);
    return true;
  }

 private:
  enum class Stop { no, accepting, after_goodbye, now };

  void tell(Stop what) {
    stop_ = what;
    inbox_.ring();
  }
  void end_thread(Stop how) {
    if (!thread_.joinable()) return;
    tell(how);
    thread_.join();
  }

  Result<> watch(int operation, int fd, std::uint64_t what, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = what}};
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return fail(Error::sys("epoll_ctl", listener_.path()));
    return {};
  }

  void run() {
    pthread_setname_np(pthread_self(), "cri-io");
    while (stop_ != Stop::after_goodbye && stop_ != Stop::now) turn(time_left(next_time(), Clock::now()));
    if (stop_ == Stop::after_goodbye) say_goodbye();
    connections_.clear();
  }

  // What epoll reports within `patience`, and whose time has come.
  void turn(int patience_ms) {
    std::array<epoll_event, 64> ready;
    const int n = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), patience_ms);
    for (int i = 0; i < n; i++) {
      const auto& event = ready[static_cast<std::size_t>(i)];
      const std::uint64_t what = event.data.u64;  // a copy: the structure is packed
      if (what == kInbox) {
        take_returned();
      } else if (what == kListener) {
        take_connections();
      } else if (auto it = connections_.find(what); it != connections_.end()) {
        serve(it, (event.events & ~EPOLLOUT) != 0);
      }
    }
    if (n < static_cast<int>(ready.size())) look_at_clock(Clock::now());
  }

  using Connections = std::unordered_map<std::uint64_t, std::unique_ptr<Connection>>;
  void serve(Connections::iterator it, bool readable) {
    keep_while(it, [&]() -> Result<bool> {
      if (readable && !TRY(it->second->receive())) return false;
      return flushed(it->first, *it->second);
    });
  }
  void flush(Connections::iterator it) {
    keep_while(it, [&] { return flushed(it->first, *it->second); });
  }
  // False, an error, or too little memory for it: the connection goes. The others and the daemon stay.
  template <typename Work>
  void keep_while(Connections::iterator it, Work work) {
    Result<bool> alive = false;
    try {
      alive = work();
    } catch (const std::exception& e) {
      alive = fail(Error::of(ErrorKind::internal, "serve", "a connection", e.what()));
    }
    if (!alive) log::warn("connection dropped", {{"error", alive.error().text()}});
    if (!alive || !*alive) connections_.erase(it);
  }
  Result<bool> flushed(std::uint64_t number, Connection& connection) {
    const bool was_blocked = connection.blocked();
    if (!TRY(connection.flush())) return false;
    if (connection.blocked() == was_blocked) return true;
    TRY(watch(EPOLL_CTL_MOD, connection.fd(), number, was_blocked ? EPOLLIN : EPOLLIN | EPOLLOUT));
    return true;
  }

  // What a call wants done once it is back on this thread; its connection may have gone meanwhile.
  void go_on(Call& call, Call::Act act) {
    const auto it = connections_.find(call.at.connection);
    if (it == connections_.end() || act == Call::Act::none) return;
    keep_while(it, [&] {
      it->second->do_next(call, act);
      return flushed(it->first, *it->second);
    });
  }
  void take_returned() {
    for (auto& [call, why] : inbox_.take()) go_on(*call, call->came_back(why));
    if (stop_ != Stop::no && std::exchange(accepting_, false)) (void)watch(EPOLL_CTL_DEL, listener_.fd(), kListener, 0);
  }

  void take_connections() {
    while (accepting_) {
      auto fd = listener_.accept();
      if (!fd) {
        if (fd.error().is(EINTR) || fd.error().is(ECONNABORTED)) continue;
        if (fd.error().is(EAGAIN)) return;
        log::warn("connection refused", {{"error", fd.error().text()}});
        if (fd.error().is(EPERM)) continue;
        accept_again_ = Clock::now() + kAcceptPause;
        (void)watch(EPOLL_CTL_MOD, listener_.fd(), kListener, 0);
        return;
      }
      add(*std::move(fd));
    }
  }
  void add(Fd socket) {
    const std::uint64_t number = next_number_++;
    const int fd = socket.get();
    auto connection = Connection::open(std::move(socket), number, calls_);
    Result<> watched = connection ? watch(EPOLL_CTL_ADD, fd, number, EPOLLIN) : fail(connection.error());
    if (!watched) return log::warn("connection refused", {{"error", watched.error().text()}});
    flush(connections_.emplace(number, *std::move(connection)).first);
  }

  // The next moment to wake up by itself; a daemon that nobody calls sleeps.
  Clock::time_point next_time() const {
    auto next = std::min(accept_again_, slow_look_);
    if (!calls_.deadlines.empty()) next = std::min(next, calls_.deadlines.begin()->first);
    return next;
  }
  static int time_left(Clock::time_point next, Clock::time_point now) {
    if (next == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<milliseconds>(next - now).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
  }

  void look_at_clock(Clock::time_point now) {
    while (!calls_.deadlines.empty() && calls_.deadlines.begin()->first <= now) {
      const auto call = calls_.deadlines.begin()->second->shared_from_this();
      go_on(*call, call->deadline_passed());
    }
    if (accept_again_ <= now) {
      accept_again_ = Clock::time_point::max();
      if (accepting_) (void)watch(EPOLL_CTL_MOD, listener_.fd(), kListener, EPOLLIN);
    }
    if (slow_look_ <= now) log_slow_calls();
    const bool busy = border_.activity.any();
    if (slow_look_ <= now || busy != (slow_look_ != Clock::time_point::max()))
      slow_look_ = busy ? now + kSlowCall : Clock::time_point::max();
  }

  void log_slow_calls() {
    for (const auto& call : border_.activity.running()) {
      if (call.age < kSlowCall) continue;
      const auto* method = find_method(call.name);
      const bool asked_to_wait = method != nullptr && (method->lane == Lane::wait || method->lane == Lane::pull);
      log::write(asked_to_wait ? log::Level::debug : log::Level::warn, "still running",
                 {{"rpc", short_name(call.name)}, {"ms", static_cast<long>(call.age.count())}});
    }
  }

  // Every answer that is there goes out, at the pace of its client; what streams wait for is not awaited.
  void say_goodbye() {
    take_returned();
    for (auto it = connections_.begin(); it != connections_.end();) {
      const auto here = it++;
      here->second->say_goodbye();
      flush(here);
    }
    const auto end = Clock::now() + kGoodbye;
    const auto has_more = [](const auto& entry) { return entry.second->has_more(); };
    while (Clock::now() < end && std::any_of(connections_.begin(), connections_.end(), has_more))
      turn(time_left(end, Clock::now()));
  }

  Border& border_;
  Listener& listener_;
  Inbox<Returned> inbox_;
  CallContext calls_;  // the I/O thread's
  Lanes lanes_;        // the first to go: what runs there has both of the above
  std::atomic<Stop> stop_ = Stop::no;
  Fd epoll_;
  std::thread thread_;
  // The I/O thread's:
  Connections connections_;
  std::uint64_t next_number_ = kFirstConnection;
  bool accepting_ = true;
  Clock::time_point accept_again_ = Clock::time_point::max(), slow_look_ = Clock::time_point::max();
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Border& border, Listener& listener) {
  auto server = std::make_unique<EpollServer>(border, listener);
  TRY(server->start());
  return server;
}

}  // namespace podshim::cri
