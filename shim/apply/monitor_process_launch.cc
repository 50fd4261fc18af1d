#include <fcntl.h>
#include <signal.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/spawn.h"
#include "shim/apply/monitor_process_loop.h"

namespace podshim {
namespace {

constexpr int kBacklog = 4;

using Clock = std::chrono::steady_clock;

EpollMonitorLoop& as_epoll(MonitorLoop& loop) { return static_cast<EpollMonitorLoop&>(loop); }

Result<Fd> open_dir(const std::string& path) { return sys::open(path, O_PATH | O_DIRECTORY); }

Result<> greet(EpollMonitorLoop& loop, const std::shared_ptr<MonitorConnection>& connection, Fd pidfd,
               Clock::time_point deadline) {
  auto key = TRY(loop.watch(connection));
  TRY(connection->hello(deadline));
  if (!pidfd) pidfd = TRY(sys::pidfd_open(connection->process()));
  connection->set_pidfd(std::move(pidfd));
  return loop.watch_process(key, *connection);
}

}  // namespace

// The daemon binds the socket itself and is connected before the monitor's first instruction: nobody waits for it to
// appear.
Result<std::shared_ptr<MonitorProcess>> launch_monitor(MonitorLoop& any_loop, const MonitorLaunch& launch) {
  auto& loop = as_epoll(any_loop);
  Fd dir = TRY_IN(open_dir(launch.sandbox_dir), "launch monitor");
  Fd listener = TRY_IN(sys::seqpacket_listen(dir, kMonitorSocketName, kBacklog), "launch monitor");
  auto remove_socket = [&] { ::unlinkat(dir.get(), kMonitorSocketName, 0); };
  auto pair = sys::seqpacket_pair();
  if (!pair) {
    remove_socket();
    return fail(std::move(pair).error().within("launch monitor"));
  }
  fault_point("spawn monitor");
  auto process = sys::spawn_detached({.program = loop.program(),
                                      .arguments = {"podshim-monitor", launch.id.str()},
                                      .fds = {listener.get(), pair->second.get(), dir.get()},
                                      .cgroup_files = launch.cgroup_files});
  if (!process) {
    remove_socket();
    return fail(std::move(process).error().within("launch monitor"));
  }
  pair->second.reset();
  auto connection = std::make_shared<MonitorConnection>(loop.events(), launch.id, std::move(pair->first));
  Fd pidfd(::fcntl(process->pidfd.get(), F_DUPFD_CLOEXEC, 0));
  if (auto greeted = greet(loop, connection, std::move(pidfd), Clock::now() + kMonitorCallDeadline); !greeted) {
    (void)sys::pidfd_signal(process->pidfd, SIGKILL);
    remove_socket();
    return fail(std::move(greeted).error().within("launch monitor"));
  }
  return connection;
}

Result<std::shared_ptr<MonitorProcess>> connect_monitor(MonitorLoop& any_loop, const SandboxId& id,
                                                        const std::string& sandbox_dir,
                                                        std::chrono::milliseconds patience) {
  auto& loop = as_epoll(any_loop);
  const auto deadline = Clock::now() + patience;
  Fd dir = TRY_IN(open_dir(sandbox_dir), "connect to monitor");
  Fd socket = TRY_IN(sys::seqpacket_connect(dir, kMonitorSocketName, deadline), "connect to monitor");
  auto connection = std::make_shared<MonitorConnection>(loop.events(), id, std::move(socket));
  TRY_IN(greet(loop, connection, Fd(), deadline), "connect to monitor");
  return connection;
}

}  // namespace podshim
