#include "shim/streaming/lanes.h"

#include <deque>
#include <exception>
#include <map>
#include <mutex>

#include "common/log.h"

namespace podshim::streaming {

struct Lanes::State {
  struct Lane {
    std::size_t running = 0;
    std::deque<Call> waiting;
  };
  const Pool pool;
  const std::size_t running, waiting;
  std::mutex mutex;  // guards lanes; held over the pool, not while a call runs
  std::map<std::string, Lane> lanes;

  // Takes the place of one that has ended; null: nobody waits, and the place is given up.
  Call next(const std::string& name) {
    std::lock_guard lock(mutex);
    const auto lane = lanes.find(name);
    if (lane->second.waiting.empty()) {
      if (--lane->second.running == 0) lanes.erase(lane);
      return nullptr;
    }
    Call call = std::move(lane->second.waiting.front());
    lane->second.waiting.pop_front();
    return call;
  }
};

Lanes::Lanes(Pool pool, std::size_t running, std::size_t waiting)
    : state_(std::make_shared<State>(std::move(pool), running, waiting)) {}

bool Lanes::submit(const std::string& lane, Call call) {
  std::lock_guard lock(state_->mutex);
  auto& of = state_->lanes[lane];
  if (of.running < state_->running) {
    const bool started = start(state_, lane, call);
    if (started) of.running++;
    if (of.running == 0) state_->lanes.erase(lane);
    return started;
  }
  if (of.waiting.size() >= state_->waiting) return false;
  of.waiting.push_back(std::move(call));
  return true;
}

bool Lanes::start(const std::shared_ptr<State>& state, const std::string& lane, Call& call) {
  auto kept = std::make_shared<Call>(std::move(call));
  if (state->pool([state, lane, kept] { work(state, lane, std::move(*kept)); })) return true;
  call = std::move(*kept);
  return false;
}

// Others may wait for the pool: the lane's next call goes behind them.
void Lanes::work(const std::shared_ptr<State>& state, const std::string& lane, Call call) {
  do {
    try {
      call();
    } catch (const std::exception& e) {  // a library's; ours do not throw
      log::error("exception in a call", {{"lane", lane}, {"what", e.what()}});
    }
    call = state->next(lane);
  } while (call && !start(state, lane, call));
}

}  // namespace podshim::streaming
