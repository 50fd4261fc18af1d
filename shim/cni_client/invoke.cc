#include "shim/cni_client/invoke.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/fd.h"
#include "common/sys/file.h"
#include "common/sys/pidfd.h"
#include "common/sys/retry.h"

namespace podshim::cni {

struct PluginProcess {
  std::string program;
  pid_t pid = 0;
  Fd pidfd;
  Fd in;              // the pipe to it; empty when it reads from a file
  std::string input;  // for the pipe
  std::size_t given = 0;
  Fd out, err;
};

namespace {

constexpr std::size_t kMaxOut = 1UL << 20;
constexpr std::size_t kKeptErr = 4096;
constexpr std::chrono::milliseconds kKillPatience{2'000};
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

// stdin is a memory file where the configuration is known: nothing to feed while the plugin runs.
Result<Fd> make_input(const std::string& text) {
  int fd = ::memfd_create("cni-config", MFD_CLOEXEC | kNoExec);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create("cni-config", MFD_CLOEXEC);  // before 6.3
  if (fd < 0) return fail(Error::sys("memfd_create", "cni-config"));
  Fd out(fd);
  TRY(sys::write_all(out, text, "cni-config"));
  if (::lseek(fd, 0, SEEK_SET) != 0) return fail(Error::sys("lseek", "cni-config"));
  return out;
}

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

Result<PluginProcess> spawn(const PluginCall& call, const Fd& in) {
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

  PluginProcess child{.program = call.program};
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

// Writes what the pipe takes; closes it at the end, or when nobody reads.
void feed(PluginProcess& child) {
  while (child.in) {
    std::string_view rest = std::string_view(child.input).substr(child.given);
    ssize_t n = rest.empty() ? 0 : ::write(child.in.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) child.in.reset();
    if (n > 0) child.given += static_cast<std::size_t>(n);
  }
}

// Until the plugin has ended. A grandchild that keeps the pipes open is not waited for: the end of the plugin counts.
Result<> converse(PluginProcess& child, Clock::time_point deadline, PluginAnswer& answer) {
  for (;;) {
    feed(child);
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Error::of(ErrorKind::deadline_exceeded, "run plugin", child.program));
    pollfd fds[] = {{.fd = child.pidfd.get(), .events = POLLIN, .revents = 0},
                    {.fd = child.out.get(), .events = POLLIN, .revents = 0},
                    {.fd = child.err.get(), .events = POLLIN, .revents = 0},
                    {.fd = child.in.get(), .events = POLLOUT, .revents = 0}};
    int n = ::poll(fds, 4, static_cast<int>(std::min<long>(left, 1000 * 1000)));
    if (n < 0 && errno != EINTR) return fail(Error::sys("poll", child.program));
    if (n <= 0) continue;
    drain(child.out, answer.out, 0);
    drain(child.err, answer.err, kKeptErr);
    if (answer.out.size() > kMaxOut)
      return fail(Error::of(ErrorKind::resource_exhausted, "run plugin", child.program, "it printed more than 1 MiB"));
    if (fds[0].revents != 0) return {};
  }
}

}  // namespace

class ExecRunner::Waiting : public WaitingPlugin {
 public:
  Waiting(ExecRunner& runner, PluginProcess process) : runner_(runner), process_(std::move(process)) {}
  ~Waiting() override {
    if (process_.pidfd) (void)runner_.finish(process_, kKillPatience);
  }
  void give(std::string input) override {
    fault_point("run plugin");
    process_.input = std::move(input);
    feed(process_);
  }
  Result<PluginAnswer> answer(std::chrono::milliseconds timeout) override {
    auto answer = runner_.finish(process_, timeout);
    process_.pidfd.reset();
    return answer;
  }

 private:
  ExecRunner& runner_;
  PluginProcess process_;
};

Result<PluginAnswer> ExecRunner::run(const PluginCall& call) {
  reap();
  fault_point("run plugin");
  auto process = TRY(spawn(call, TRY(make_input(call.input))));
  return finish(process, call.timeout);
}

Result<std::unique_ptr<WaitingPlugin>> ExecRunner::start(const PluginCall& call) {
  reap();
  fault_point("start plugin");
  Pipe in = TRY(make_pipe());
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  auto process = TRY(spawn(call, in.read));
  process.in = std::move(in.write);
  return std::make_unique<Waiting>(*this, std::move(process));
}

Result<PluginAnswer> ExecRunner::finish(PluginProcess& process, std::chrono::milliseconds timeout) {
  PluginAnswer answer;
  auto talked = converse(process, Clock::now() + timeout, answer);
  if (!talked && talked.error().kind == ErrorKind::deadline_exceeded)
    talked.error().detail = "it did not end within " + limit_text(timeout) + " and was killed";
  // In all cases: what the plugin left running in its group goes with it. The leader is not reaped yet, so the id is
  // ours.
  if (!talked) ::kill(-process.pid, SIGKILL);
  if (!sys::pidfd_wait(process.pidfd, kKillPatience).value_or(false)) {
    // It sleeps in the kernel (a dead NFS server): whoever comes next reaps it.
    std::lock_guard lock(mutex_);
    unreaped_.push_back(process.pid);
    if (talked) talked = fail(Error::of(ErrorKind::unavailable, "run plugin", process.program, "its end was not seen"));
    return fail(std::move(talked).error());
  }
  sys::retry([&] { return ::waitpid(process.pid, &answer.wait_status, 0); });
  fault_point("plugin ended");
  if (!talked) return fail(std::move(talked).error());
  return answer;
}

void ExecRunner::reap() {
  std::lock_guard lock(mutex_);
  std::erase_if(unreaped_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

}  // namespace podshim::cni
