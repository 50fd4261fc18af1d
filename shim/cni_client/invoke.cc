#include "shim/cni_client/invoke.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/sys/file.h"
#include "common/sys/pidfd.h"
#include "common/sys/retry.h"

namespace podshim::cni {
namespace {

constexpr std::size_t kMaxOut = 1UL << 20;
constexpr std::size_t kKeptErr = 4096;
constexpr unsigned kNoExec = 0x0008;  // MFD_NOEXEC_SEAL, memfd_create(2); newer than Debian 12's headers

using Clock = std::chrono::steady_clock;

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(Error::sys("pipe2", "plugin"));
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

// stdin is a memory file: nothing to feed while the plugin runs, and no SIGPIPE from one that does not read.
Result<Fd> make_input(const std::string& text) {
  int fd = ::memfd_create("cni-config", MFD_CLOEXEC | kNoExec);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create("cni-config", MFD_CLOEXEC);  // before 6.3
  if (fd < 0) return fail(Error::sys("memfd_create", "cni-config"));
  Fd out(fd);
  TRY(sys::write_all(out, text, "cni-config"));
  if (::lseek(fd, 0, SEEK_SET) != 0) return fail(Error::sys("lseek", "cni-config"));
  return out;
}

struct Child {
  pid_t pid = 0;
  Fd pidfd;
  Fd out, err;
};

// The attributes of posix_spawn, freed on every way out.
struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

Result<Child> start(const PluginCall& call) {
  Fd in = TRY(make_input(call.input));
  Pipe out = TRY(make_pipe()), err = TRY(make_pipe());
  SpawnSetup setup;
  ::posix_spawn_file_actions_adddup2(&setup.actions, in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&setup.actions, out.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&setup.actions, err.write.get(), STDERR_FILENO);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&setup.attributes, &none);
  ::posix_spawnattr_setsigdefault(&setup.attributes, &all);
  ::posix_spawnattr_setpgroup(&setup.attributes, 0);
  ::posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> environment;
  for (const auto& e : call.environment) environment.push_back(const_cast<char*>(e.c_str()));
  // Shell plugins and those that run other programs need one.
  static constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  environment.push_back(const_cast<char*>(kPath));
  environment.push_back(nullptr);
  char* argv[] = {const_cast<char*>(call.program.c_str()), nullptr};

  Child child;
  int failed =
      ::posix_spawn(&child.pid, call.program.c_str(), &setup.actions, &setup.attributes, argv, environment.data());
  if (failed != 0) return fail(Error::sys("start plugin", call.program, {}, failed));
  auto pidfd = sys::pidfd_open(child.pid);
  if (!pidfd) {
    ::kill(-child.pid, SIGKILL);
    sys::retry([&] { return ::waitpid(child.pid, nullptr, 0); });
    return fail(std::move(pidfd).error());
  }
  child.pidfd = *std::move(pidfd);
  child.out = std::move(out.read);
  child.err = std::move(err.read);
  for (const Fd* fd : {&child.out, &child.err}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return child;
}

// Reads what is there; closes the fd at its end.
void drain(Fd& fd, std::string& into, std::size_t keep_last) {
  char buffer[16384];
  while (fd) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      fd.reset();
      return;
    }
    into.append(buffer, static_cast<std::size_t>(n));
    if (keep_last != 0 && into.size() > keep_last) into.erase(0, into.size() - keep_last);
    if (keep_last == 0 && into.size() > kMaxOut) return;
  }
}

std::string limit_text(std::chrono::milliseconds limit) {
  const auto ms = limit.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

// Until the plugin has ended. A grandchild that keeps the pipes open is not waited for: the end of the plugin counts.
Result<> converse(Child& child, Clock::time_point deadline, PluginAnswer& answer, const std::string& program) {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return fail(Error::of(ErrorKind::deadline_exceeded, "run plugin", program));
    pollfd fds[] = {{.fd = child.pidfd.get(), .events = POLLIN, .revents = 0},
                    {.fd = child.out.get(), .events = POLLIN, .revents = 0},
                    {.fd = child.err.get(), .events = POLLIN, .revents = 0}};
    int n = ::poll(fds, 3, static_cast<int>(std::min<long>(left, 1000 * 1000)));
    if (n < 0 && errno != EINTR) return fail(Error::sys("poll", program));
    if (n <= 0) continue;
    drain(child.out, answer.out, 0);
    drain(child.err, answer.err, kKeptErr);
    if (answer.out.size() > kMaxOut)
      return fail(Error::of(ErrorKind::resource_exhausted, "run plugin", program, "it printed more than 1 MiB"));
    if (fds[0].revents != 0) return {};
  }
}

}  // namespace

Result<PluginAnswer> ExecRunner::run(const PluginCall& call) {
  auto deadline = Clock::now() + call.timeout;
  Child child = TRY(start(call));
  PluginAnswer answer;
  auto talked = converse(child, deadline, answer, call.program);
  if (!talked && talked.error().kind == ErrorKind::deadline_exceeded)
    talked.error().detail = "it did not end within " + limit_text(call.timeout) + " and was killed";
  // In all cases: what the plugin left running in its group goes with it. The leader is not reaped yet, so the id is
  // ours.
  if (!talked) ::kill(-child.pid, SIGKILL);
  sys::retry([&] { return ::waitpid(child.pid, &answer.wait_status, 0); });
  if (!talked) return fail(std::move(talked).error());
  return answer;
}

}  // namespace podshim::cni
