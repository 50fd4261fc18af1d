#include "shim/apply/monitor_process_loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/memfd.h"
#include "common/sys/retry.h"

namespace podshim {
namespace {

// epoll's word: the connection's key and which of its two fds.
constexpr std::uint64_t kStopTag = 0;
constexpr std::uint64_t kProcessBit = 1;
constexpr std::uint64_t tag_of(std::uint64_t key, bool process) { return key << 1 | (process ? kProcessBit : 0); }

Result<> add(const Fd& epoll, const Fd& fd, std::uint64_t tag) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return fail(Error::sys("epoll_ctl", "monitor"));
  return {};
}

}  // namespace

EpollMonitorLoop::~EpollMonitorLoop() {
  if (!thread_.joinable()) return;
  std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

Result<> EpollMonitorLoop::start() {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!epoll_ || !stop_) return fail(Error::sys("epoll_create", "monitor loop"));
  TRY(add(epoll_, stop_, kStopTag));
  thread_ = std::thread([this] {
    try {
      run();
    } catch (const std::exception& e) {
      log::error("monitor loop ended", {{"exception", e.what()}});
      std::abort();  // a daemon that no longer hears its Pods must start anew
    }
  });
  return {};
}

Result<std::uint64_t> EpollMonitorLoop::watch(const std::shared_ptr<MonitorConnection>& connection) {
  connection->set_loop_thread(thread_.get_id());
  std::uint64_t key;
  {
    std::lock_guard lock(mutex_);
    // One that was shut down has no event left that would take it out of the map.
    std::erase_if(connections_, [](const auto& entry) { return entry.second.expired(); });
    key = next_key_++;
    connections_[key] = connection;
  }
  TRY(add(epoll_, connection->socket(), tag_of(key, false)));
  return key;
}

Result<> EpollMonitorLoop::watch_process(std::uint64_t key, const MonitorConnection& connection) {
  return add(epoll_, connection.pidfd(), tag_of(key, true));
}

void EpollMonitorLoop::forget(std::uint64_t key) {
  std::lock_guard lock(mutex_);
  connections_.erase(key);
}

void EpollMonitorLoop::ready(std::uint64_t tag) {
  std::uint64_t key = tag >> 1;
  std::shared_ptr<MonitorConnection> connection;
  {
    std::lock_guard lock(mutex_);
    auto found = connections_.find(key);
    if (found != connections_.end()) connection = found->second.lock();
  }
  // Without an owner its fds are closed, or about to be: epoll forgets them with the last close.
  if (!connection) return forget(key);
  if ((tag & kProcessBit) != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->pidfd().get(), nullptr);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->socket().get(), nullptr);
    connection->process_ended();
    return forget(key);
  }
  if (connection->receive()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->socket().get(), nullptr);
  connection->broken();
}

void EpollMonitorLoop::run() {
  for (;;) {
    epoll_event events[32];
    int count = sys::retry([&] { return ::epoll_wait(epoll_.get(), events, std::size(events), -1); });
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == kStopTag) return;
      ready(events[i].data.u64);
    }
  }
}

Result<std::unique_ptr<MonitorLoop>> make_monitor_loop(MonitorEvents& events, const std::string& monitor_binary) {
  auto bytes = TRY_IN(sys::read_file(monitor_binary), "load the monitor");
  std::string_view view = bytes;
  auto program = sys::sealed_memfd("podshim-monitor", sys::MemfdKind::program, std::span(&view, 1));
  // vm.memfd_noexec=2: the file itself then; it is as safe as its directory.
  if (!program) program = sys::open(monitor_binary, O_RDONLY);
  auto loop = std::make_unique<EpollMonitorLoop>(events, TRY(std::move(program)));
  TRY(loop->start());
  return loop;
}

}  // namespace podshim
