// ExecSync: the child gets pipes that the calling thread reads in one poll loop, with the end of the exec as one more
// thing to wait for. A timeout kills the exec's own cgroup leaf: the whole subtree, and nothing else.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/plan/exec_plan.h"

namespace podshim::lifecycle {
namespace {

constexpr std::size_t kMaxOutput = 16UL << 20;
constexpr milliseconds kKilledReport{5'000};

using Clock = std::chrono::steady_clock;

// Shared with the callback, which may come after the call gave up.
struct Ending {
  Fd event;
  std::mutex mutex;  // guards result
  std::optional<Result<int>> result;

  void tell(Result<int> r) {
    {
      std::lock_guard lock(mutex);
      result = std::move(r);
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(event.get(), &one, sizeof one);
  }
  std::optional<Result<int>> get() {
    std::lock_guard lock(mutex);
    return result;
  }
};

struct Stream {
  Fd read, write;
  std::string text;
};

Result<Stream> make_stream() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(Error::sys("pipe2", "exec"));
  Stream out{.read = Fd(fds[0]), .write = Fd(fds[1])};
  ::fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
  return out;
}

// One read, so that an endless writer does not hold the loop. What is beyond the cap is dropped: a full pipe would stop
// the process.
void drain(Stream& stream) {
  char buffer[65536];
  if (!stream.read) return;
  const ssize_t n = sys::retry([&] { return ::read(stream.read.get(), buffer, sizeof buffer); });
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    stream.read.reset();
    return;
  }
  const auto room = kMaxOutput - std::min(kMaxOutput, stream.text.size());
  stream.text.append(buffer, std::min(static_cast<std::size_t>(n), room));
}

// Until the exec has ended (true) or the deadline has passed (false).
Result<bool> follow(Stream& out, Stream& err, const Ending& ending, std::optional<Clock::time_point> deadline) {
  for (;;) {
    int wait = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<milliseconds>(*deadline - Clock::now()).count();
      if (left <= 0) return false;
      wait = static_cast<int>(std::min<long>(left, 1'000'000));
    }
    pollfd fds[] = {{.fd = ending.event.get(), .events = POLLIN, .revents = 0},
                    {.fd = out.read.get(), .events = POLLIN, .revents = 0},
                    {.fd = err.read.get(), .events = POLLIN, .revents = 0}};
    if (sys::retry([&] { return ::poll(fds, 3, wait); }) < 0) return fail(Error::sys("poll", "exec"));
    drain(out);
    drain(err);
    if (fds[0].revents != 0) return true;
  }
}

// What the ended process had written; a grandchild that keeps the pipe open is not waited for.
void drain_rest(Stream& stream) {
  for (pollfd p{.fd = stream.read.get(), .events = POLLIN, .revents = 0}; stream.read; p.revents = 0) {
    if (::poll(&p, 1, 0) <= 0 || stream.text.size() >= kMaxOutput) return;
    drain(stream);
  }
}

}  // namespace

Result<ExecResult> NodeRuntime::exec_sync(const std::string& id, const std::vector<std::string>& command,
                                          std::chrono::seconds timeout) {
  auto container = TRY(find_container(id));
  if (command.empty()) return fail(Error::invalid("cmd", "is empty"));
  if (container->state() != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "exec", container->id.str(), "the container is not running"));
  const int leaf = take_leaf(*container);
  auto result = run_exec(*container, command, timeout, leaf);
  give_leaf(*container, leaf);
  if (!result) return fail(std::move(result).error().within("exec in container " + container->id.brief()));
  return result;
}

Result<ExecResult> NodeRuntime::run_exec(Container& container, const std::vector<std::string>& command,
                                         std::chrono::seconds timeout, int leaf) {
  auto monitor = TRY(monitor_of(*container.sandbox));
  auto plan = TRY(plan_exec(input_of(container, TRY(observe(container.record.spec)), leaf), filters_, command, false));
  bool make = false;
  {
    std::lock_guard lock(container.mutex);
    make = container.leaves.made.insert(leaf).second;
  }
  if (make) {
    auto applied = host().apply_cgroup(plan.cgroup);
    if (!applied) {
      std::lock_guard lock(container.mutex);
      container.leaves.made.erase(leaf);
      return fail(std::move(applied).error());
    }
    tolerate(*applied);
  }

  auto ending = std::make_shared<Ending>();
  ending->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ending->event) return fail(Error::sys("eventfd", "exec"));
  Stream out = TRY(make_stream()), err = TRY(make_stream());
  CloneConfig clone{.namespaces = plan.clone.namespaces,
                    .join_sandbox_pid = plan.clone.join_sandbox_pid,
                    .join_pid_of = plan.clone.join_pid_of,
                    .cgroup = TRY(host().open_cgroup(plan.cgroup.paths))};
  std::optional<Clock::time_point> deadline;
  if (timeout.count() > 0) deadline = Clock::now() + timeout;
  Fd in = TRY(sys::open("/dev/null", O_RDONLY));
  auto done = [ending](Result<int> code) { ending->tell(std::move(code)); };
  auto exec = TRY(monitor->start_exec(container.id, plan.program, std::move(clone), std::move(in), std::move(out.write),
                                      std::move(err.write), false, std::move(done)));
  const bool ended = TRY(follow(out, err, *ending, deadline));
  if (!ended) {
    auto killed = host().kill_cgroup(plan.cgroup.paths, kKillPatience);
    if (!killed) (void)monitor->kill_exec(exec.id);
    TRY(follow(out, err, *ending, Clock::now() + kKilledReport));
    TRY(std::move(killed));
    return fail(Error::of(ErrorKind::deadline_exceeded, "exec", command.front(),
                          "ran longer than " + std::to_string(timeout.count()) + " s and was killed"));
  }
  drain_rest(out);
  drain_rest(err);
  auto told = ending->get();
  const int code = TRY(*std::move(told));
  return ExecResult{.exit_code = code, .out = std::move(out.text), .err = std::move(err.text)};
}

int NodeRuntime::take_leaf(Container& container) {
  std::set<int> left;
  {
    std::lock_guard lock(container.mutex);
    left = container.leaves.left;
  }
  std::set<int> free;
  for (int leaf : left)
    if (!host().cgroup_populated(exec_cgroup_paths(container.cgroup, leaf)).value_or(true)) free.insert(leaf);
  std::lock_guard lock(container.mutex);
  auto& leaves = container.leaves;
  for (int leaf : free) leaves.left.erase(leaf);
  int leaf = 0;
  while (leaves.busy.contains(leaf) || leaves.left.contains(leaf)) leaf++;
  leaves.busy.insert(leaf);
  return leaf;
}

void NodeRuntime::give_leaf(Container& container, int leaf) {
  const bool populated = host().cgroup_populated(exec_cgroup_paths(container.cgroup, leaf)).value_or(false);
  std::lock_guard lock(container.mutex);
  container.leaves.busy.erase(leaf);
  if (populated) container.leaves.left.insert(leaf);
}

}  // namespace podshim::lifecycle
