// ExecSync: the child gets pipes that the calling thread reads in one poll loop, with the end of the exec as one more
// thing to wait for. A timeout, or a client that has gone, kills the exec's own cgroup leaf: the whole subtree, and
// nothing else. Both count from the call on: a start that hangs (a program on a volume that does not answer) is late,
// too.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stop_token>

#include "common/log.h"
#include "common/sys/retry.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

constexpr std::size_t kMaxOutput = 16UL << 20;
constexpr milliseconds kKilledReport{5'000};

using Clock = std::chrono::steady_clock;

// Shared with the callback, which may come after the call gave up.
struct Ending {
  Fd event;                  // readable: there is a result, or the client has gone
  mutable std::mutex mutex;  // guards result
  std::optional<Result<int>> result;

  void tell(Result<int> r) {
    {
      std::lock_guard lock(mutex);
      result = std::move(r);
    }
    wake();
  }
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(event.get(), &one, sizeof one);
  }
  std::optional<Result<int>> get() const {
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

enum class Followed { ended, late, given_up };

Result<Followed> follow(Stream& out, Stream& err, const Ending& ending, std::optional<Clock::time_point> deadline,
                        const std::stop_token& given_up) {
  for (;;) {
    int wait = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<milliseconds>(*deadline - Clock::now()).count();
      if (left <= 0) return ending.get() ? Followed::ended : Followed::late;
      wait = static_cast<int>(std::min<long>(left, 1'000'000));
    }
    pollfd fds[] = {{.fd = ending.event.get(), .events = POLLIN, .revents = 0},
                    {.fd = out.read.get(), .events = POLLIN, .revents = 0},
                    {.fd = err.read.get(), .events = POLLIN, .revents = 0}};
    if (sys::retry([&] { return ::poll(fds, 3, wait); }) < 0) return fail(Error::sys("poll", "exec"));
    drain(out);
    drain(err);
    if (fds[0].revents == 0) continue;
    return ending.get() || !given_up.stop_requested() ? Followed::ended : Followed::given_up;
  }
}

// What the ended process had written; a grandchild that keeps the pipe open is not waited for.
void drain_rest(Stream& stream) {
  for (pollfd p{.fd = stream.read.get(), .events = POLLIN, .revents = 0}; stream.read; p.revents = 0) {
    if (::poll(&p, 1, 0) <= 0 || stream.text.size() >= kMaxOutput) return;
    drain(stream);
  }
}

milliseconds start_patience(std::chrono::seconds timeout, milliseconds most) {
  if (timeout.count() <= 0 || timeout > most) return most;
  return timeout;
}

}  // namespace

Result<> NodeRuntime::kill_and_wait(const std::shared_ptr<LeafHold>& leaf, const std::vector<std::string>& command) {
  if (kill_exec(leaf).wait_for(kKillPatience) == std::future_status::ready) return {};
  return fail(Error::of(ErrorKind::deadline_exceeded, "kill exec", command.front(),
                        "its processes do not die: uninterruptible sleep?"));
}

// One that hangs ends as one that runs too long; else it is the error as it came.
Error NodeRuntime::end_start(const char* operation, const std::shared_ptr<LeafHold>& leaf,
                             const std::vector<std::string>& command, const ExecWait& wait, Error error) {
  const bool late = error.kind == ErrorKind::deadline_exceeded;
  if (!late && error.kind != ErrorKind::cancelled) return error;
  log::warn("exec hangs", {{"operation", operation},
                           {"container", leaf->container->id.str()},
                           {"step", "start of the program"},
                           {"program", command.front()},
                           {"error", error.text()}});
  if (auto killed = kill_and_wait(leaf, command); !killed)
    return std::move(killed).error().within("the start of its program hangs");
  if (!late)
    return Error::of(ErrorKind::cancelled, "exec", command.front(),
                     "its client has gone while the start of its program hung; it was killed");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait.patience).count();
  return Error::of(ErrorKind::deadline_exceeded, "exec", command.front(),
                   "the start of its program hung for " + std::to_string(seconds) +
                       " s (does its file system answer?) and was killed");
}

Result<ExecResult> NodeRuntime::exec_sync(const std::string& id, const std::vector<std::string>& command,
                                          std::chrono::seconds timeout, std::stop_token given_up) {
  auto container = TRY(find_for_exec(id, command));
  return run_exec(take_leaf(container), command, timeout, given_up);
}

Result<ExecResult> NodeRuntime::run_exec(const std::shared_ptr<LeafHold>& leaf, const std::vector<std::string>& command,
                                         std::chrono::seconds timeout, const std::stop_token& given_up) {
  auto ending = std::make_shared<Ending>();
  ending->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ending->event) return fail(Error::sys("eventfd", "exec"));
  Stream out = TRY(make_stream()), err = TRY(make_stream());
  std::optional<Clock::time_point> deadline;
  if (timeout.count() > 0) deadline = Clock::now() + timeout;
  auto done = [ending](Result<int> code) { ending->tell(std::move(code)); };
  ExecStdio stdio{.out = std::move(out.write), .err = std::move(err.write)};
  const ExecWait wait{.patience = start_patience(timeout, parts_.exec_patience), .given_up = given_up};
  if (auto begun = begin_exec(*leaf, command, std::move(stdio), std::move(done), wait); !begun)
    return fail(end_start("ExecSync", leaf, command, wait, std::move(begun).error()));
  const std::stop_callback wake(given_up, [ending] { ending->wake(); });
  const Followed how = TRY(follow(out, err, *ending, deadline, given_up));
  if (how != Followed::ended) {
    TRY(kill_and_wait(leaf, command));
    std::uint64_t count = 0;
    [[maybe_unused]] auto n = ::read(ending->event.get(), &count, sizeof count);
    if (!ending->get()) TRY(follow(out, err, *ending, Clock::now() + kKilledReport, {}));
    if (how == Followed::given_up)
      return fail(Error::of(ErrorKind::cancelled, "exec", command.front(), "its client has gone; it was killed"));
    return fail(Error::of(ErrorKind::deadline_exceeded, "exec", command.front(),
                          "ran longer than " + std::to_string(timeout.count()) + " s and was killed"));
  }
  drain_rest(out);
  drain_rest(err);
  auto told = ending->get();
  const int code = TRY(*std::move(told));
  return ExecResult{.exit_code = code, .out = std::move(out.text), .err = std::move(err.text)};
}

}  // namespace podshim::lifecycle
