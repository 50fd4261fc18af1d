// Starts that fail, and say where.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <thread>

#include "common/sys/file.h"
#include "common/sys/seqpacket.h"
#include "pod_fixture.h"

namespace podshim::test {
namespace {

struct FailureCase {
  const char* name;
  ProgramStep step;  // put before exec
  int err;
  const char* text;  // part of the error
};

const FailureCase kFailures[] = {
    {"write_file", {.op = Op::write_file, .a = "1", .b = "/no/such/file"}, ENOENT, "write_file \"1\" -> /no/such/file"},
    {"set_ns", {.op = Op::set_ns, .slot = 150, .x = CLONE_NEWNET}, EBADF, "set_ns net <- slot 150"},
    {"open_tree", {.op = Op::open_tree, .slot = 30, .b = "/missing"}, ENOENT, "open_tree /missing -> slot 30"},
    {"new_mount type", {.op = Op::new_mount, .slot = 30, .a = "nofs"}, ENODEV, "new_mount nofs -> slot 30"},
    {"new_mount option", {.op = Op::new_mount, .slot = 30, .a = "tmpfs", .b = "bogus=1"}, EINVAL, "tmpfs (bogus=1)"},
    {"attach", {.op = Op::attach, .slot = 31, .b = "/data"}, EBADF, "attach slot 31 -> /data"},
    {"change_dir", {.op = Op::change_dir, .b = "/nowhere"}, ENOENT, "change_dir /nowhere"},
    {"change_dir to a file", {.op = Op::change_dir, .b = "/bin/busybox"}, ENOTDIR, "change_dir /bin/busybox"},
    {"exec missing",
     {.op = Op::exec, .la = {"/bin/nope", "/sbin/nope"}, .lb = {"nope"}},
     ENOENT,
     "exec [\"/bin/nope\""},
    {"exec a directory", {.op = Op::exec, .la = {"/x/nope", "/tmp"}, .lb = {"tmp"}}, EACCES, "exec"},
    {"exec no format", {.op = Op::exec, .la = {"/etc/text"}, .lb = {"text"}}, ENOEXEC, "exec"},
    {"seccomp", {.op = Op::seccomp, .a = "12345678"}, EINVAL, "seccomp 1 instructions"},
};

TEST_F(PodTest, FailedStepIsNamedWithItsErrno) {
  launch_with_pause();
  ASSERT_TRUE(sys::write_file(rootfs_ + "/etc/text", "no program\n", 0755));
  for (const auto& c : kFailures) {
    SCOPED_TRACE(c.name);
    auto id = run({.command = {"/bin/true"}, .before_exec = {c.step}});
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, ErrorKind::os);
    EXPECT_TRUE(id.error().is(c.err)) << id.error().text();
    EXPECT_NE(id.error().text().find(c.text), std::string::npos) << id.error().text();
  }
  // They are created still, and nothing of the children is left.
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->containers.size(), std::size(kFailures));
  for (const auto& c : state->containers) EXPECT_EQ(c.state, MonitorContainer::State::created);
  EXPECT_EQ(children_of(state->monitor.pid).size(), 1U);  // pause
  for (const auto& c : state->containers) EXPECT_TRUE(monitor_->remove_container(c.id));
}

TEST_F(PodTest, AStepThatMayFailIsPassedOver) {
  launch_with_pause();
  auto id = run({.command = shell("echo ran"),
                 .before_exec = {{.op = Op::write_file, .flags = kMayFail, .a = "1", .b = "/no/such/file"}}});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F ran\n");
}

TEST_F(PodTest, AChildKilledBeforeExecIsAFailedStart) {
  launch_with_pause();
  // A filter that kills at once: the child dies in its next system call, before exec.
  sock_filter kill[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};
  auto id = run({.command = {"/bin/true"},
                 .before_exec = {{.op = Op::seccomp, .a = std::string(reinterpret_cast<char*>(kill), sizeof kill)}}});
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().kind, ErrorKind::unavailable);
  EXPECT_NE(id.error().text().find("signal 31"), std::string::npos) << id.error().text();
}

TEST_F(PodTest, ExecTakesTheFirstCandidateThatRuns) {
  launch_with_pause();
  ProgramStep step = exec_step({"/none/echo", "found"}, {});
  step.la = {"/none/echo", "/etc/echo", "/bin/echo"};
  ASSERT_TRUE(sys::write_file(rootfs_ + "/etc/echo", "not executable", 0644));
  auto id = run({.command = {"/bin/true"}, .before_exec = {step}});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F found\n");
}

TEST_F(PodTest, AStuckStartHoldsUpNothing) {
  launch_with_pause();
  ASSERT_EQ(::mkfifo((rootfs_ + "/tmp/fifo").c_str(), 0600), 0);
  std::thread stuck([&] {
    // Opening a FIFO without a reader waits, as a dead file server does.
    auto id = run({.command = {"/bin/true"}, .before_exec = {{.op = Op::write_file, .a = "x", .b = "/tmp/fifo"}}});
    EXPECT_TRUE(id) << id.error().text();
    if (id) {
      EXPECT_TRUE(events_.wait_exit(*id));
    }
  });
  auto stage_seen = [&] {
    for (int child : children_of(monitor_->process().pid))
      if (sys::read_file("/proc/" + std::to_string(child) + "/comm").value_or("") == "podshim:join\n") return true;
    return false;
  };
  bool seen = false;
  for (int i = 0; i < 5000 && !(seen = stage_seen()); i++) std::this_thread::sleep_for(2ms);
  EXPECT_TRUE(seen) << "ps must show where it hangs";
  auto id = run({.command = shell("echo meanwhile")});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F meanwhile\n");
  auto reader = sys::open(rootfs_ + "/tmp/fifo", O_RDONLY);
  stuck.join();
}

TEST_F(PodTest, AMebibyteOfEnvironmentArrives) {
  launch_with_pause();
  TestContainer c{.command = shell("env | grep -c ^BIG; env | wc -c; echo ${#BIG_7}"), .env = {"PATH=/bin"}};
  for (int i = 0; i < 16; i++) c.env.push_back("BIG_" + std::to_string(i) + "=" + std::string(65536, 'x'));
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  auto log = log_of(*id);
  EXPECT_TRUE(log.starts_with("stdout F 16\n")) << log;
  EXPECT_TRUE(log.ends_with("stdout F 65536\n")) << log;
  c.env.assign(40, std::string(250 * 1024, 'y'));
  auto refused = run(c);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::resource_exhausted) << refused.error().text();
}

TEST_F(PodTest, ManyMountsWork) {
  launch_with_pause();
  TestContainer c{.command = shell("mount | grep -c /vol; cat /vol/39/note; cat /etc/file-mount")};
  ASSERT_TRUE(sys::write_file(dir_ + "/logs/note", "from outside\n", 0644));
  for (int i = 0; i < 40; i++) {
    int slot = 32 + i;
    c.below_root.push_back({.op = Op::open_tree, .slot = slot, .x = 1, .b = dir_ + "/logs"});
    c.below_root.push_back({.op = Op::mount_attr, .slot = slot, .x = 1, .z = 1 << 18, .w = 1});
    c.below_root.push_back({.op = Op::attach, .slot = slot, .b = "/vol/" + std::to_string(i)});
  }
  c.below_root.push_back({.op = Op::open_tree, .slot = 100, .b = dir_ + "/logs/note"});
  c.below_root.push_back({.op = Op::attach, .slot = 100, .b = "/etc/file-mount"});
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F 40\nstdout F from outside\nstdout F from outside\n");
}

TEST_F(PodTest, MountPointsStayBelowTheRootWhateverTheImageHolds) {
  launch_with_pause();
  ASSERT_TRUE(sys::make_dir(dir_ + "/outside"));
  ASSERT_EQ(::symlink((dir_ + "/outside").c_str(), (rootfs_ + "/evil").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../../../../etc", (rootfs_ + "/up").c_str()), 0);
  TestContainer c{.command = shell("cat /up/placed")};
  ASSERT_TRUE(sys::write_file(dir_ + "/logs/note", "inside\n", 0644));
  c.below_root = {{.op = Op::open_tree, .slot = 40, .b = dir_ + "/logs/note"},
                  {.op = Op::attach, .slot = 40, .b = "/up/placed"},
                  {.op = Op::make_dir, .flags = kMayFail, .x = 0755, .b = "/evil/made"}};
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F inside\n");
  EXPECT_TRUE(sys::list_dir(dir_ + "/outside").value().empty());
  EXPECT_FALSE(sys::exists("/etc/placed"));
}

TEST_F(PodTest, CapabilitiesAndNoNewPrivsAreAsPlanned) {
  launch_with_pause();
  constexpr std::uint64_t kNetBind = 1U << 10;
  TestContainer c{.command = shell("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status")};
  sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  c.before_exec = {{.op = Op::bound_caps, .x = kNetBind},
                   {.op = Op::set_gid, .x = 1000},
                   {.op = Op::set_uid, .x = 1000},
                   {.op = Op::set_caps, .x = kNetBind, .y = kNetBind, .z = kNetBind, .w = kNetBind},
                   {.op = Op::no_new_privs},
                   {.op = Op::seccomp, .a = std::string(reinterpret_cast<char*>(allow), sizeof allow)}};
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  std::string caps = "0000000000000400\n", want;
  for (const char* name : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    want += std::string("stdout F ") + name + ":\t" + caps;
  EXPECT_EQ(log_of(*id), want + "stdout F NoNewPrivs:\t1\nstdout F Seccomp:\t2\n");
}

TEST_F(PodTest, OnlyRootMaySpeakAndGarbageEndsTheConnection) {
  launch();
  auto dir = sys::open(sandbox_dir_, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(dir);
  struct stat st{};
  ASSERT_EQ(::fstatat(dir->get(), "monitor.sock", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  // Another uid, with the file's mode out of its way.
  for (const auto& path : {dir_.substr(0, dir_.rfind('/')), dir_, sandbox_dir_}) ::chmod(path.c_str(), 0755);
  ::fchmodat(dir->get(), "monitor.sock", 0666, 0);
  pid_t stranger = ::fork();
  if (stranger == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(10);
    auto socket =
        sys::seqpacket_connect(*dir, "monitor.sock", std::chrono::steady_clock::now() + std::chrono::seconds(5));
    if (!socket) ::_exit(11);
    char byte;
    pollfd readable{.fd = socket->get(), .events = POLLIN, .revents = 0};
    ssize_t n = -1;
    for (int i = 0; i < 50 && (n = ::recv(socket->get(), &byte, 1, 0)) < 0 && (errno == EAGAIN || errno == EINTR); i++)
      (void)::poll(&readable, 1, 100);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) ::_exit(0);
    ::_exit(n > 0 ? 12 : 100 + errno);
  }
  int status = 0;
  ::waitpid(stranger, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "it must be shut out";
  EXPECT_TRUE(monitor_->state()) << "and disturb nobody";
}

}  // namespace
}  // namespace podshim::test
