#include "tests/support/local_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

namespace podshim::test {
namespace {

std::atomic<int> g_running{0};

struct Pipe {
  Fd read, write;
};
Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {};
  return {Fd(fds[0]), Fd(fds[1])};
}
void unblock(const Fd& fd) { ::fcntl(fd.get(), F_SETFL, O_NONBLOCK | ::fcntl(fd.get(), F_GETFL)); }

// The group is killed only while its leader has not been waited for: no other process can have its number then.
struct Group {
  std::mutex mutex;
  pid_t pid = 0;  // 0: waited for
  void kill() {
    std::lock_guard lock(mutex);
    if (pid == 0) return;
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);  // it may not have made its group yet
  }
};

class LocalStream final : public ProcessStream {
 public:
  explicit LocalStream(std::shared_ptr<Group> group) : group_(std::move(group)) {}
  ~LocalStream() override { group_->kill(); }
  void end_stdin() override { in.reset(); }

 private:
  std::shared_ptr<Group> group_;
};

struct Ends {
  int in = -1, out = -1, err = -1;
  bool terminal = false;
};

[[noreturn]] void child(char* const* argv, const Ends& ends) {
  ::setsid();
  if (ends.terminal) ::ioctl(ends.in, TIOCSCTTY, 0);
  ::dup2(ends.in, 0);
  ::dup2(ends.out, 1);
  ::dup2(ends.err, 2);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvp(argv[0], argv);
  ::_exit(127);
}

}  // namespace

int local_processes() { return g_running; }

Result<std::unique_ptr<ProcessStream>> start_local_process(const std::vector<std::string>& command,
                                                           const StreamRequest& request, StreamShape shape,
                                                           StreamEnd ended) {
  auto group = std::make_shared<Group>();
  auto stream = std::make_unique<LocalStream>(group);
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::vector<Fd> childs;
  Ends ends{.in = null.get(), .out = null.get(), .err = null.get(), .terminal = request.tty};
  if (request.tty) {
    stream->terminal = Fd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ::grantpt(stream->terminal.get());
    ::unlockpt(stream->terminal.get());
    char name[64];
    ::ptsname_r(stream->terminal.get(), name, sizeof name);
    childs.emplace_back(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    unblock(stream->terminal);
    ends.in = ends.out = ends.err = childs[0].get();
  }
  const auto give = [&](bool wanted, int* end, Fd* ours, bool input) {
    if (!wanted) return;
    Pipe pipe = make_pipe();
    *ours = std::move(input ? pipe.write : pipe.read);
    unblock(*ours);
    childs.push_back(std::move(input ? pipe.read : pipe.write));
    *end = childs.back().get();
  };
  give(request.in && !request.tty, &ends.in, &stream->in, true);
  give(request.out && (!request.tty || shape == StreamShape::attach), &ends.out, &stream->out, false);
  give(request.err && !request.tty, &ends.err, &stream->err, false);
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) child(argv.data(), ends);
  if (pid < 0) return fail(Error::sys("fork", command[0]));
  group->pid = pid;
  g_running++;
  std::thread([group, pid, shape, ended = std::move(ended)]() mutable {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    int status = 0;
    {
      std::lock_guard lock(group->mutex);
      ::waitpid(pid, &status, 0);
      group->pid = 0;
    }
    const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    ended(shape == StreamShape::exec ? code : 0);
    ended = nullptr;
    g_running--;
  }).detach();
  return std::unique_ptr<ProcessStream>(std::move(stream));
}

}  // namespace podshim::test
