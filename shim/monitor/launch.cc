#include "shim/monitor/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include "common/sys/clone.h"
#include "common/sys/file.h"
#include "common/sys/pidfd.h"

namespace podshim {
namespace {

Result<WireProcess> wire_process(pid_t pid) {
  auto id = TRY(sys::process_id(pid));
  return WireProcess{.pid = id.pid, .start_ticks = id.start_ticks};
}

// setns(2) with a pid namespace moves the caller's future children, not the caller.
Result<> children_into(int ns) {
  if (::setns(ns, CLONE_NEWPID) != 0) return fail(Error::sys("setns", "pid"));
  return {};
}

}  // namespace

Result<MonitorSelf> open_self() {
  MonitorSelf self;
  self.process = TRY(wire_process(::getpid()));
  self.pidfd = TRY(sys::pidfd_open(::getpid()));
  self.pid_ns = TRY(sys::open("/proc/self/ns/pid", O_RDONLY));
  return self;
}

Result<Launched> launch(const MonitorSelf& self, const LaunchConfig& config) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) return fail(Error::sys("pipe", "child report"));
  Launched out{.process = {}, .report = Fd(pipe_fds[0])};
  Fd child_end(pipe_fds[1]);  // closed here before any other clone, so that no sibling keeps the pipe open

  ChildScratch scratch;
  for (int i = 0; i < kSlots; i++) scratch.slots[i] = i < static_cast<int>(config.slots.size()) ? config.slots[i] : -1;
  ChildPlan plan{.steps = config.program.steps.data(),
                 .step_count = static_cast<std::uint32_t>(config.program.steps.size()),
                 .scratch = &scratch,
                 .report_pipe = child_end.get(),
                 .monitor_pidfd = self.pidfd.get()};

  if (config.pid_ns >= 0) TRY(children_into(config.pid_ns));
  auto pid = sys::clone_copy(config.namespaces, config.cgroup);
  if (pid && *pid == 0) run_child(plan);
  if (config.pid_ns >= 0) TRY(children_into(self.pid_ns.get()));
  if (!pid && pid.error().is(ENOMEM) && config.pid_ns >= 0)
    return fail(Error::of(ErrorKind::failed_precondition, "clone", "child", "the pid namespace to join has ended"));
  if (!pid) return fail(std::move(pid).error());
  // A child that has ended already is still there as a zombie: nobody else reaps it.
  auto process = wire_process(*pid);
  if (!process) {
    ::kill(*pid, SIGKILL);
    return fail(std::move(process).error());
  }
  out.process = *process;
  return out;
}

}  // namespace podshim
