#include "netproxy/loop.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <csignal>

#include "common/log.h"

namespace podshim::netproxy {
namespace {

constexpr std::chrono::milliseconds kForever{-1};

std::chrono::milliseconds until(std::optional<Clock::time_point> when) {
  if (!when) return kForever;
  auto left = *when - Clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
}

void write_status(Status& status) {
  if (auto done = status.write(Clock::now()); !done) log::error("status not written", {{"error", done.error().text()}});
}

void on_notification(LoopParts& parts) {
  auto seen = parts.watch.read();
  if (!seen) {
    log::error("nf_tables notifications not read", {{"error", seen.error().text()}});
  } else if (*seen == Watch::Seen::foreign) {
    log::warn("own table was changed by somebody else");
    parts.proxy.foreign_change(Clock::now());
  } else if (*seen == Watch::Seen::lost) {
    parts.proxy.verify(Clock::now());
  }
}

}  // namespace

Result<Fd> stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(Error::sys("signalfd", "SIGTERM"));
  return fd;
}

Result<> run_loop(LoopParts parts) {
  std::string source_error;  // told once
  for (;;) {
    if (auto due = parts.status.due(); due && *due <= Clock::now()) write_status(parts.status);
    auto wait = kForever;
    for (auto when : {parts.proxy.wake_at(), parts.status.due(), parts.health.due(), parts.source.due()}) {
      auto left = until(when);
      if (left != kForever) wait = wait == kForever ? left : std::min(wait, left);
    }
    if (parts.tracker.has_pending()) wait = std::chrono::milliseconds(0);
    pollfd fds[] = {{parts.signals.get(), POLLIN, 0},
                    {parts.source.fd(), POLLIN, 0},
                    {parts.watch.fd(), POLLIN, 0},
                    {parts.health.fd(), POLLIN, 0}};
    if (::poll(fds, std::size(fds), static_cast<int>(wait.count())) < 0 && errno != EINTR)
      return fail(Error::sys("poll", "events"));
    if (fds[0].revents != 0) break;
    if (auto due = parts.source.due(); fds[1].revents != 0 || (due && *due <= Clock::now())) {
      auto read = parts.source.read_events(parts.tracker);
      auto error = read ? "" : read.error().text();
      if (!read && error != source_error) log::error("source not read", {{"error", error}});
      source_error = std::move(error);
    }
    if (fds[2].revents != 0) on_notification(parts);
    parts.proxy.sync(Clock::now());
    parts.health.handle(Clock::now());
    // Behind the table: who learns of a name finds it served.
    if (parts.names != nullptr) parts.names->publish();
  }
  write_status(parts.status);
  log::info("stopped; the rules stay");
  return {};
}

}  // namespace podshim::netproxy
