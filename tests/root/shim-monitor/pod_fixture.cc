#include "pod_fixture.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "common/sys/file.h"
#include "common/sys/mount.h"

namespace podshim::test {
namespace {

constexpr const char* kBusybox = "/bin/busybox";
constexpr const char* kApplets[] = {"sh",   "true",   "false",  "cat",  "echo",  "sleep",    "kill", "ps",
                                    "id",   "printf", "seq",    "head", "yes",   "tty",      "stty", "touch",
                                    "ls",   "env",    "wc",     "dd",   "mount", "hostname", "test", "mkdir",
                                    "grep", "setsid", "usleep", "ln",   "stat",  "readlink", "nc"};

template <typename Done>
bool wait_on(std::condition_variable& changed, std::mutex& mutex, std::chrono::milliseconds timeout, Done done) {
  std::unique_lock lock(mutex);
  return changed.wait_for(lock, timeout, done);
}

}  // namespace

void RecordedEvents::container_exited(const SandboxId&, const ExitRecord& record) {
  std::lock_guard lock(mutex_);
  EXPECT_FALSE(exits_.contains(record.id)) << "told twice";
  exits_[record.id] = record;
  changed_.notify_all();
}

void RecordedEvents::pause_exited(const SandboxId&, int wait_status) {
  std::lock_guard lock(mutex_);
  pause_ = wait_status;
  changed_.notify_all();
}

void RecordedEvents::monitor_gone(const SandboxId& id) {
  if (on_gone) on_gone(id);
  std::lock_guard lock(mutex_);
  gone_++;
  changed_.notify_all();
}

std::optional<ExitRecord> RecordedEvents::wait_exit(const ContainerId& id, std::chrono::milliseconds timeout) {
  if (!wait_on(changed_, mutex_, timeout, [&] { return exits_.contains(id); })) return {};
  std::lock_guard lock(mutex_);
  return exits_[id];
}

bool RecordedEvents::wait_gone(std::chrono::milliseconds timeout) {
  return wait_on(changed_, mutex_, timeout, [&] { return gone_ > 0; });
}

std::optional<int> RecordedEvents::wait_pause(std::chrono::milliseconds timeout) {
  wait_on(changed_, mutex_, timeout, [&] { return pause_.has_value(); });
  std::lock_guard lock(mutex_);
  return pause_;
}

int RecordedEvents::gone() const {
  std::lock_guard lock(mutex_);
  return gone_;
}

std::string make_temp_dir() {
  // Longer than sun_path: sockets must be reached through their directory.
  std::string path = "/tmp/podshim-monitor-test-" + random_hex(6) + "/" + std::string(100, 'd');
  EXPECT_TRUE(sys::make_dirs(path));
  return path;
}

ContainerId new_container_id() { return *ContainerId::parse(random_hex(32)); }

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

ProgramStep exec_step(const std::vector<std::string>& command, const std::vector<std::string>& env) {
  return {.op = Op::exec, .la = {command[0]}, .lb = command, .lc = env};
}

std::string wait_file(const std::string& path, const std::function<bool(const std::string&)>& predicate,
                      std::chrono::milliseconds timeout) {
  auto until = std::chrono::steady_clock::now() + timeout;
  do {
    auto text = sys::read_file(path);
    if (text && predicate(*text)) return *text;
    std::this_thread::sleep_for(2ms);
  } while (std::chrono::steady_clock::now() < until);
  return {};
}

std::string without_times(const std::string& log) {
  std::istringstream in(log);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    auto space = line.find(' ');
    EXPECT_EQ(space, 30U) << line;
    out += space == std::string::npos ? line : line.substr(space + 1);
    out += '\n';
  }
  return out;
}

std::vector<int> children_of(int pid) {
  std::vector<int> out;
  std::ifstream in("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (int child; in >> child;) out.push_back(child);
  return out;
}

void PodTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: needs root";
  ASSERT_TRUE(sys::exists(kBusybox)) << "busybox-static is missing";
  dir_ = make_temp_dir();
  sandbox_dir_ = dir_ + "/sandbox";
  rootfs_ = dir_ + "/rootfs";
  staging_ = dir_ + "/staging";
  for (const char* name : {"/sandbox", "/staging", "/logs", "/exits", "/rootfs/bin", "/rootfs/tmp", "/rootfs/etc"})
    ASSERT_TRUE(sys::make_dirs(dir_ + name));
  ASSERT_TRUE(sys::write_file(rootfs_ + "/bin/busybox", *sys::read_file(kBusybox), 0755));
  for (const char* applet : kApplets) ASSERT_EQ(::symlink("busybox", (rootfs_ + "/bin/" + applet).c_str()), 0);
  sandbox_ = *SandboxId::parse(random_hex(32));
  auto loop = make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor");
  ASSERT_TRUE(loop) << loop.error().text();
  loop_ = std::move(*loop);
}

void PodTest::TearDown() {
  // A test that failed half-way may have left the monitor of a former daemon.
  if (!monitor_ && loop_ && sys::exists(sandbox_dir_ + "/monitor.sock"))
    if (auto monitor = connect_monitor(*loop_, sandbox_, sandbox_dir_, std::chrono::seconds(5))) monitor_ = *monitor;
  if (monitor_) {
    auto process = monitor_->process();
    auto pidfd = sys::pidfd_open(process);
    if (auto state = monitor_->state()) {
      for (const auto& c : state->containers)
        if (c.state == MonitorContainer::State::running) {
          EXPECT_TRUE(monitor_->signal_container(c.id, SIGKILL));
          EXPECT_TRUE(events_.wait_exit(c.id));
        }
      auto ended = monitor_->shutdown(10s);
      EXPECT_TRUE(ended) << ended.error().text();
    }
    if (pidfd) {
      (void)sys::pidfd_signal(*pidfd, SIGKILL);
      EXPECT_TRUE(sys::pidfd_wait(*pidfd, 5s).value_or(false));
    }
  }
  monitor_.reset();
  loop_.reset();
  if (!dir_.empty()) {
    auto removed = sys::remove_tree(dir_.substr(0, dir_.rfind('/')));
    EXPECT_TRUE(removed) << removed.error().text();
  }
}

void PodTest::launch() {
  auto monitor = launch_monitor(*loop_, {.id = sandbox_, .sandbox_dir = sandbox_dir_, .cgroup_files = {}});
  ASSERT_TRUE(monitor) << monitor.error().text();
  monitor_ = *monitor;
}

Program PodTest::pause_program() const {
  Program p;
  p.add({.op = Op::set_hostname, .a = "pod-under-test"});
  p.add({.op = Op::loopback_up});
  p.add({.op = Op::parent_death, .x = SIGKILL});
  p.add({.op = Op::exec_fd, .slot = static_cast<int>(Slot::pause), .lb = {"pause"}});
  return p;
}

void PodTest::launch_with_pause() {
  ASSERT_NO_FATAL_FAILURE(launch());
  auto pause = monitor_->start_pause(
      pause_program(),
      {.namespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID, .join_pid_of = {}, .cgroup = {}});
  ASSERT_TRUE(pause) << pause.error().text();
  const sys::MountOption options[] = {{"size", "1m"}, {"mode", "1777"}};
  auto shm = sys::new_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  ASSERT_TRUE(shm) << shm.error().text();
  ASSERT_TRUE(monitor_->set_shm(std::move(*shm)));
}

Program PodTest::container_program(const TestContainer& c) const {
  auto slot = [](Slot s) { return static_cast<int>(s); };
  Program p;
  p.add({.op = Op::set_ns, .slot = slot(Slot::net), .x = CLONE_NEWNET});
  p.add({.op = Op::set_ns, .slot = slot(Slot::ipc), .x = CLONE_NEWIPC});
  p.add({.op = Op::set_ns, .slot = slot(Slot::uts), .x = CLONE_NEWUTS});
  p.add({.op = Op::propagation, .x = MS_SLAVE});
  p.add({.op = Op::attach_root, .slot = slot(Slot::root), .b = staging_});
  p.add({.op = Op::new_mount, .slot = kScratchSlot, .x = MOUNT_ATTR_NOSUID, .a = "proc"});
  p.add({.op = Op::attach, .slot = kScratchSlot, .b = "/proc"});
  p.add({.op = Op::new_mount, .slot = kScratchSlot, .x = MOUNT_ATTR_NOSUID, .a = "tmpfs", .b = "mode=755,size=64k"});
  p.add({.op = Op::attach, .slot = kScratchSlot, .b = "/dev"});
  p.add({.op = Op::make_node, .x = S_IFCHR | 0666, .y = 0x103, .b = "/dev/null"});
  p.add({.op = Op::make_node, .x = S_IFCHR | 0666, .y = 0x500, .b = "/dev/tty"});
  p.add({.op = Op::attach, .slot = slot(Slot::shm), .b = "/dev/shm"});
  if (c.stdio.tty) {
    p.add({.op = Op::attach, .slot = slot(Slot::pts), .b = "/dev/pts"});
    p.add({.op = Op::attach, .slot = slot(Slot::console), .b = "/dev/console"});
    p.add({.op = Op::make_symlink, .a = "pts/ptmx", .b = "/dev/ptmx"});
  }
  p.add({.op = Op::mask_path, .b = "/proc/kcore"});
  p.add({.op = Op::mask_path, .b = "/proc/scsi"});
  p.add({.op = Op::mask_path, .b = "/proc/acpi"});
  p.add({.op = Op::mask_path, .b = "/proc/no-such-file"});
  p.add({.op = Op::readonly_path, .b = "/proc/sys"});
  for (const auto& step : c.below_root) p.add(step);
  p.add({.op = Op::enter_root});
  p.add({.op = Op::new_session, .x = c.stdio.tty ? 1UL : 0UL});
  for (const auto& step : c.before_exec) p.add(step);
  p.add({.op = Op::umask, .x = 022});
  p.add({.op = Op::parent_death, .x = SIGKILL});
  p.add(exec_step(c.command, c.env));
  return p;
}

Program PodTest::exec_program(const std::vector<std::string>& command, std::vector<ProgramStep> before_exec) const {
  auto slot = [](Slot s) { return static_cast<int>(s); };
  Program p;
  p.add({.op = Op::no_dumpable});
  p.add({.op = Op::set_ns, .slot = slot(Slot::net), .x = CLONE_NEWNET});
  p.add({.op = Op::set_ns, .slot = slot(Slot::ipc), .x = CLONE_NEWIPC});
  p.add({.op = Op::set_ns, .slot = slot(Slot::uts), .x = CLONE_NEWUTS});
  p.add({.op = Op::set_ns, .slot = slot(Slot::mnt), .x = CLONE_NEWNS});
  for (auto& step : before_exec) p.add(std::move(step));
  p.add(exec_step(command, {"PATH=/bin"}));
  return p;
}

Fd PodTest::root_mount() const {
  auto mount = sys::copy_mount(Fd(), rootfs_, false);
  EXPECT_TRUE(mount) << mount.error().text();
  return mount ? std::move(*mount) : Fd();
}

Result<ContainerId> PodTest::run(const TestContainer& c) {
  ContainerId id = new_container_id();
  TRY(monitor_->create_container(id, root_mount(), {}));
  ContainerStdio stdio = c.stdio;
  if (stdio.log_path.empty()) stdio.log_path = log_path(id);
  CloneConfig clone{.namespaces = c.namespaces != 0 ? c.namespaces : CLONE_NEWNS | CLONE_NEWPID,
                    .join_sandbox_pid = c.join_sandbox_pid,
                    .join_pid_of = c.join_pid_of,
                    .cgroup = {}};
  TRY(monitor_->start_container(id, container_program(c), std::move(clone), stdio, c.oom_file, exit_path(id)));
  return id;
}

std::string PodTest::log_of(const ContainerId& id) const {
  return without_times(sys::read_file(log_path(id)).value_or("(no log)"));
}

PodTest::ExecOutcome PodTest::exec(const ContainerId& id, const std::vector<std::string>& command,
                                   std::vector<ProgramStep> before_exec) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  Fd read_end(fds[0]), write_end(fds[1]);
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<int>> code;
  auto done = [&](Result<int> result) {
    std::lock_guard lock(mutex);
    code = std::move(result);
    changed.notify_all();
  };
  Fd error_end(::fcntl(write_end.get(), F_DUPFD_CLOEXEC, 3));
  auto started = monitor_->start_exec(id, exec_program(command, std::move(before_exec)), {}, Fd(), std::move(write_end),
                                      std::move(error_end), false, done);
  if (!started) return {fail(started.error()), ""};
  std::string out = sys::read_all(read_end, "exec output").value_or("(error)");
  std::unique_lock lock(mutex);
  if (!changed.wait_for(lock, 20s, [&] { return code.has_value(); }))
    return {fail(Error::of(ErrorKind::deadline_exceeded, "test", "exec")), out};
  return {std::move(*code), out};
}

}  // namespace podshim::test
