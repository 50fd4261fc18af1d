// One client of a container's output, as the daemon holds it: the read ends, the container's stdin, and the end.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "pod_fixture.h"

namespace podshim::test {

struct AttachWish {
  bool in = false, out = false, err = false, quiet = false;
};

class Client {
 public:
  Client(MonitorProcess& monitor, const ContainerId& id, const AttachWish& wish) {
    MonitorProcess::AttachPipes pipes{.out = {}, .err = {}, .in = wish.in, .quiet = wish.quiet};
    if (wish.out) make_pipe(&out_, &pipes.out);
    if (wish.err) make_pipe(&err_, &pipes.err);
    attached = monitor.attach(id, std::move(pipes), [told = told_](Result<int> result) {
      std::lock_guard lock(told->mutex);
      EXPECT_FALSE(told->result) << "ended twice";
      told->result = std::move(result);
      told->changed.notify_all();
    });
  }
  Result<Fd> attached = Fd();  // stdin

  void write(const std::string& text) const {
    EXPECT_EQ(::write(attached->get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Until it ends in `last`, or at the pipe's end.
  std::string read_out(const std::string& last = "") const { return read(out_, last); }
  std::string read_err(const std::string& last = "") const { return read(err_, last); }
  void drop() {
    out_.reset();
    err_.reset();
    attached = Fd();
  }
  std::optional<Result<int>> wait_end(std::chrono::milliseconds patience = 20s) const {
    std::unique_lock lock(told_->mutex);
    told_->changed.wait_for(lock, patience, [&] { return told_->result.has_value(); });
    return told_->result;
  }

 private:
  static void make_pipe(Fd* read_end, Fd* write_end) {
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    *read_end = Fd(fds[0]);
    *write_end = Fd(fds[1]);
  }
  static std::string read(const Fd& fd, const std::string& last) {
    std::string text;
    char buffer[65536];
    for (pollfd p{.fd = fd.get(), .events = POLLIN, .revents = 0}; ::poll(&p, 1, 20'000) > 0; p.revents = 0) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
      if (!last.empty() && text.ends_with(last)) break;
    }
    return text;
  }
  struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<int>> result;
  };
  std::shared_ptr<Told> told_ = std::make_shared<Told>();
  Fd out_, err_;
};

}  // namespace podshim::test
