// The requests that clone: taken apart, given their slots, launched. They are answered when the child's exec happened
// (Monitor::child_started) or when the failed child was reaped (reap.cc).
#include <fcntl.h>
#include <signal.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/memfd.h"
#include "shim/monitor/monitor.h"
#include "shim/monitor/pause_image.h"

namespace podshim {
namespace {

std::string hex_of(const WireId& id) { return std::string(id.view()); }

int& slot_of(LaunchConfig& config, Slot slot) { return config.slots[static_cast<std::size_t>(slot)]; }

LaunchConfig config_for(const DecodedProgram& program, std::uint64_t namespaces, const Fd& cgroup) {
  LaunchConfig config{.program = program, .namespaces = namespaces, .cgroup = cgroup.get()};
  config.slots.fill(-1);
  return config;
}

// A zombie has no namespaces any more: its files are gone (ENOENT) or refuse (EACCES, ESRCH).
Result<Fd> open_namespace(const WireProcess& process, const char* name) {
  auto fd = sys::open("/proc/" + std::to_string(process.pid) + "/ns/" + name, O_RDONLY);
  if (!fd) return fail(Error::of(ErrorKind::failed_precondition, "join namespace", name, "its process has ended"));
  return fd;
}

}  // namespace

Result<Monitor::Start> Monitor::read_start(Request& request) {
  Start start;
  PayloadReader reader(request.payload);
  std::string_view program;
  if (!reader.record(&start.record)) return fail(Error::invalid("payload", "short"));
  const auto& r = start.record;
  if (!reader.text(r.log_path, &start.log_path) || !reader.text(r.oom_file, &start.oom_file) ||
      !reader.text(r.exit_path, &start.exit_path) || !reader.bytes(r.program, &program))
    return fail(Error::invalid("payload", "text out of bounds"));
  TRY(decode_program(program, &start.program));
  if ((r.flags & kStartHasCgroup) != 0) start.cgroup = request.take_fd();
  if ((r.flags & kStartHasIn) != 0) start.in = request.take_fd();
  if ((r.flags & kStartHasOut) != 0) start.out = request.take_fd();
  if ((r.flags & kStartHasErr) != 0) start.err = request.take_fd();
  return start;
}

Result<std::unique_ptr<Child>> Monitor::start_child(ChildRole role, const Request& request,
                                                    const LaunchConfig& config) {
  fault_point("clone");
  auto launched = TRY(launch(self_, config));
  fault_point("cloned");
  auto child = std::make_unique<Child>(*this, loop_, role, std::move(launched));
  child->request = request.header.request;
  child->connection = request.connection;
  if (auto listening = child->listen(); !listening) {
    ::kill(child->process().pid, SIGKILL);
    return fail(std::move(listening).error());
  }
  return child;
}

// Where memfds may not be executed (vm.memfd_noexec=2), a file beside the socket.
Result<Fd> Monitor::pause_program() {
  auto image = pause_image();
  auto memfd = sys::sealed_memfd("pause", sys::MemfdKind::program, std::span(&image, 1));
  if (memfd) return memfd;
  fault_point("make pause file");
  ::unlinkat(dir_.get(), "pause", 0);
  {
    Fd file = TRY(sys::open_at(dir_, "pause", O_WRONLY | O_CREAT | O_EXCL, 0500));
    TRY(sys::write_all(file, image, "pause"));
  }
  return sys::open_at(dir_, "pause", O_RDONLY);
}

Monitor::Answer Monitor::start_pause(Request& request) {
  if (pause_ || pause_process_.pid != 0)
    return fail(Error::of(ErrorKind::failed_precondition, "start pause", "pause", "it was started before"));
  Start start = TRY(read_start(request));
  Fd program = TRY(pause_program());
  LaunchConfig config = config_for(start.program, start.record.namespaces, start.cgroup);
  slot_of(config, Slot::pause) = program.get();
  pause_ = TRY(start_child(ChildRole::pause, request, config));
  return std::nullopt;
}

Result<> Monitor::open_sandbox_namespaces() {
  sandbox_.net = TRY(open_namespace(pause_process_, "net"));
  sandbox_.ipc = TRY(open_namespace(pause_process_, "ipc"));
  sandbox_.uts = TRY(open_namespace(pause_process_, "uts"));
  sandbox_.pid = TRY(open_namespace(pause_process_, "pid"));
  sandbox_.user = TRY(open_namespace(pause_process_, "user"));
  return {};
}

void Monitor::fill_sandbox_slots(LaunchConfig& config) const {
  slot_of(config, Slot::net) = sandbox_.net.get();
  slot_of(config, Slot::ipc) = sandbox_.ipc.get();
  slot_of(config, Slot::uts) = sandbox_.uts.get();
  slot_of(config, Slot::pid) = sandbox_.pid.get();
  slot_of(config, Slot::user) = sandbox_.user.get();
}

Result<Fd> Monitor::pid_namespace(const StartRecord& record) {
  if ((record.flags & kStartJoinPidOf) != 0) {
    auto* target = TRY(need_container(record.join_id));
    if (!target->child)
      return fail(
          Error::of(ErrorKind::failed_precondition, "join pid namespace", hex_of(record.join_id), "it has ended"));
    return open_namespace(target->process, "pid");
  }
  if ((record.flags & kStartJoinSandboxPid) == 0) return Fd();
  if (!sandbox_.pid || !pause_)
    return fail(Error::of(ErrorKind::failed_precondition, "join pid namespace", "sandbox", "pause is not running"));
  return open_namespace(pause_process_, "pid");
}

Monitor::Answer Monitor::start_container(Request& request) {
  Start start = TRY(read_start(request));
  auto* container = TRY(need_container(start.record.id));
  if (container->child || container->exit)
    return fail(
        Error::of(ErrorKind::failed_precondition, "start container", hex_of(start.record.id), "it was started"));
  const auto& r = start.record;
  Fd pid_ns = TRY(pid_namespace(r));
  Fd shm;
  if (start.program.uses(Slot::shm)) shm = TRY(shm_.copy());
  auto io = std::make_unique<ContainerIo>(loop_, *this, buffer_.get(), kReadBuffer);
  TRY(io->open({.log_path = std::string(start.log_path),
                .limits = {.max_bytes = r.log_max_bytes, .max_files = r.log_max_files},
                .tty = (r.flags & kStartTty) != 0,
                .stdin_open = (r.flags & kStartStdinOpen) != 0}));
  io->on_loss = [this, container] { log_lost(*container); };

  LaunchConfig config = config_for(start.program, r.namespaces, start.cgroup);
  fill_sandbox_slots(config);
  auto stdio = io->child_stdio();
  for (std::size_t fd = 0; fd < stdio.size(); fd++) config.slots[fd] = stdio[fd];
  slot_of(config, Slot::root) = container->root.get();
  slot_of(config, Slot::shm) = shm.get();
  for (std::size_t i = 0; i < container->volumes.size(); i++)
    config.slots[static_cast<std::size_t>(Slot::volume) + i] = container->volumes[i].get();
  slot_of(config, Slot::pts) = io->pts();
  config.pid_ns = pid_ns.get();
  container->child = TRY(start_child(ChildRole::container, request, config));
  container->process = container->child->process();
  container->oom_file = start.oom_file;
  container->exit_path = start.exit_path;
  io->given();
  container->io = std::move(io);
  return std::nullopt;
}

Monitor::Answer Monitor::start_exec(Request& request) {
  Start start = TRY(read_start(request));
  auto* container = TRY(need_container(start.record.id));
  if (!container->child || container->child->phase() != Child::Phase::running)
    return fail(Error::of(ErrorKind::failed_precondition, "exec", hex_of(start.record.id), "container is not running"));
  static constexpr struct {
    Slot slot;
    const char* name;
  } kJoined[] = {{Slot::net, "net"},   {Slot::ipc, "ipc"},       {Slot::uts, "uts"}, {Slot::mnt, "mnt"},
                 {Slot::user, "user"}, {Slot::cgroup, "cgroup"}, {Slot::pid, "pid"}};
  Fd opened[std::size(kJoined)];
  LaunchConfig config = config_for(start.program, start.record.namespaces, start.cgroup);
  for (std::size_t i = 0; i < std::size(kJoined); i++) {
    if (kJoined[i].slot != Slot::pid && !start.program.uses(kJoined[i].slot)) continue;
    opened[i] = TRY(open_namespace(container->process, kJoined[i].name));
    slot_of(config, kJoined[i].slot) = opened[i].get();
  }
  config.pid_ns = slot_of(config, Slot::pid);
  config.slots[0] = start.in.get();
  config.slots[1] = start.out.get();
  config.slots[2] = start.err.get();
  auto exec = std::make_unique<Exec>();
  exec->id = start.record.exec_id;
  exec->container = start.record.id;
  exec->child = TRY(start_child(ChildRole::exec, request, config));
  exec->process = exec->child->process();
  execs_.push_back(std::move(exec));
  return std::nullopt;
}

}  // namespace podshim
