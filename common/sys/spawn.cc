#include "common/sys/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <memory>

#include "common/sys/clone.h"
#include "common/sys/file.h"
#include "common/sys/raw_syscall.h"
#include "common/sys/retry.h"

namespace podshim::sys {
namespace {

constexpr std::size_t kStack = 32 * 1024;  // of each child; they call nothing deep
constexpr int kFirstFd = 3;
constexpr int kHigh = 512;  // above every number that is a target; below the usual soft limit of 1024

// Shared with both children, who run while the caller waits. Plain memory: no allocation on their side.
struct Work {
  int program = -1;
  const char* const* argv = nullptr;
  int* fds = nullptr;
  int fd_count = 0;
  const char* const* cgroup_files = nullptr;
  int cgroup_file_count = 0;
  int cgroup_fd = -1;
  char* second_stack = nullptr;
  // Results
  const char* failed = nullptr;
  const char* failed_on = "";
  int error = 0;
  int pidfd = -1;
  long pid = 0;
};

int give_up(Work* work, const char* operation, const char* subject, long result) {
  work->failed = operation;
  work->failed_on = subject;
  work->error = static_cast<int>(-result);
  return 127;
}

int join_cgroups(Work* work) {
  for (int i = 0; i < work->cgroup_file_count; i++) {
    const char* path = work->cgroup_files[i];
    long fd = raw(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return give_up(work, "open", path, fd);
    long n = raw(__NR_write, fd, "0", 1);
    raw(__NR_close, fd);
    if (n < 0) return give_up(work, "join cgroup", path, n);
  }
  return 0;
}

// Sources move out of the way first: a target number may be another one's source.
int place_fds(Work* work) {
  long program = raw(__NR_fcntl, work->program, F_DUPFD_CLOEXEC, kHigh);
  if (program < 0) return give_up(work, "dup", "program", program);
  work->program = static_cast<int>(program);
  for (int i = 0; i < work->fd_count; i++) {
    long high = raw(__NR_fcntl, work->fds[i], F_DUPFD_CLOEXEC, kHigh);
    if (high < 0) return give_up(work, "dup", "inherited fd", high);
    work->fds[i] = static_cast<int>(high);
  }
  long null = raw(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return give_up(work, "open", "/dev/null", null);
  null = raw(__NR_fcntl, null, F_DUPFD_CLOEXEC, kHigh);
  for (int fd = 0; fd < kFirstFd; fd++) raw(__NR_dup3, null, fd, 0);
  for (int i = 0; i < work->fd_count; i++) {
    long placed = raw(__NR_dup3, work->fds[i], kFirstFd + i, 0);
    if (placed < 0) return give_up(work, "dup", "inherited fd", placed);
  }
  raw(__NR_close_range, kFirstFd + work->fd_count, ~0U, CLOSE_RANGE_CLOEXEC);
  return 0;
}

int run_program(void* argument) {
  auto* work = static_cast<Work*>(argument);
  raw(__NR_setsid);
  raw(__NR_chdir, "/");
  if (int status = join_cgroups(work); status != 0) return status;
  if (int status = place_fds(work); status != 0) return status;
  const char* const environment[] = {nullptr};
  long result = raw(__NR_execveat, work->program, "", work->argv, environment, AT_EMPTY_PATH);
  return give_up(work, "execveat", work->argv[0], result);
}

// Shares the caller's file table, so that the pidfd of the program lands there.
int run_between(void* argument) {
  auto* work = static_cast<Work*>(argument);
  SharedChild child{.run = run_program,
                    .argument = work,
                    .stack = work->second_stack,
                    .stack_size = kStack,
                    .cgroup_fd = work->cgroup_fd};
  work->pid = clone_shared(child, &work->pidfd);
  if (work->pid < 0) return give_up(work, "clone3", "program", work->pid);
  return 0;
}

Result<Fd> v2_cgroup_of(const std::string& file) {
  auto slash = file.rfind('/');
  if (slash == std::string::npos || file.substr(slash + 1) != "cgroup.procs") return Fd();
  Fd dir = TRY(open(file.substr(0, slash), O_RDONLY | O_DIRECTORY));
  struct statfs fs{};
  if (::fstatfs(dir.get(), &fs) != 0) return fail(Error::sys("statfs", file));
  if (fs.f_type != CGROUP2_SUPER_MAGIC) return Fd();
  return dir;
}

// Handlers of the caller must not run in a child that shares its memory.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

struct Unmap {
  void operator()(char* p) const { ::munmap(p, 2 * kStack); }
};

Result<DetachedProcess> run(Work& work) {
  void* memory = ::mmap(nullptr, 2 * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return fail(Error::sys("mmap", "child stack"));
  std::unique_ptr<char, Unmap> stacks(static_cast<char*>(memory));
  work.second_stack = stacks.get() + kStack;
  long between;
  {
    SignalsBlocked blocked;
    SharedChild child{
        .run = run_between, .argument = &work, .stack = stacks.get(), .stack_size = kStack, .share_files = true};
    between = clone_shared(child, nullptr);
  }
  if (between < 0) return fail(Error::sys("clone3", "spawn", {}, static_cast<int>(-between)));
  retry([&] { return ::waitpid(static_cast<pid_t>(between), nullptr, __WALL); });
  Fd pidfd(work.pidfd);
  if (work.failed != nullptr) return fail(Error::sys(work.failed, work.failed_on, {}, work.error));
  // The program has only just begun; if it has ended already, its new parent may have reaped it (ESRCH).
  auto id = TRY(process_id(static_cast<pid_t>(work.pid)));
  return DetachedProcess{.id = id, .pidfd = std::move(pidfd)};
}

}  // namespace

Result<DetachedProcess> spawn_detached(const DetachedProgram& program) {
  std::vector<const char*> argv, files;
  for (const auto& argument : program.arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  Fd cgroup;
  for (const auto& file : program.cgroup_files) {
    Fd v2 = TRY(v2_cgroup_of(file));
    if (v2) {
      cgroup = std::move(v2);
    } else {
      files.push_back(file.c_str());
    }
  }
  std::vector<int> fds = program.fds;
  Work work;
  work.program = program.program.get();
  work.argv = argv.data();
  work.fds = fds.data();
  work.fd_count = static_cast<int>(fds.size());
  work.cgroup_files = files.data();
  work.cgroup_file_count = static_cast<int>(files.size());
  work.cgroup_fd = cgroup.get();
  return run(work);
}

}  // namespace podshim::sys
