// Streaming sessions as a server holds them: what StreamEnd told, and whole outputs.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Lives as long as the last copy of its function.
class End {
 public:
  StreamEnd call() {
    return [told = told_](Result<int> result) {
      std::lock_guard lock(told->mutex);
      EXPECT_FALSE(told->result) << "ended twice";
      told->result = std::move(result);
      told->changed.notify_all();
    };
  }
  std::optional<Result<int>> wait(milliseconds patience = seconds(10)) const {
    std::unique_lock lock(told_->mutex);
    told_->changed.wait_for(lock, patience, [&] { return told_->result.has_value(); });
    return told_->result;
  }
  // -1: not ended, -2: an error
  int code() const {
    auto result = wait();
    return !result ? -1 : result->value_or(-2);
  }

 private:
  struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<int>> result;
  };
  std::shared_ptr<Told> told_ = std::make_shared<Told>();
};

// Until `enough` holds of it, or its end (EOF, EIO of a terminal), or ten seconds without a byte.
inline std::string read_until(const Fd& fd, const std::function<bool(const std::string&)>& enough = {}) {
  std::string out;
  char buffer[65536];
  for (pollfd p{.fd = fd.get(), .events = POLLIN, .revents = 0}; ::poll(&p, 1, 10'000) > 0; p.revents = 0) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (enough && enough(out)) return out;
  }
  return out;
}

inline std::function<bool(const std::string&)> has(const std::string& part) {
  return [part](const std::string& text) { return text.find(part) != std::string::npos; };
}

inline void write_to(const Fd& fd, const std::string& text) {
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size())) << strerror(errno);
}

}  // namespace podshim::lifecycle::test
