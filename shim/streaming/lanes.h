// Lanes: a pool of threads that many share, so that no one of them takes it all. Calls of one lane (one Pod's dials, or
// its opened processes) run at most `running` at a time, in their order; the others wait in the lane and take no
// thread. submit() never blocks, any thread; false: too many wait, or the pool takes no more, and the call was not
// taken. What waits in a lane when the pool is stopped is still run, by the threads that the lane has. The pool must
// live until the last call has ended; this need not.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace podshim::streaming {

class Lanes {
 public:
  using Call = std::function<void()>;
  using Pool = std::function<bool(Call)>;  // false: not taken

  Lanes(Pool pool, std::size_t running, std::size_t waiting);
  bool submit(const std::string& lane, Call call);

 private:
  struct State;
  static bool start(const std::shared_ptr<State>& state, const std::string& lane, Call& call);
  static void work(const std::shared_ptr<State>& state, const std::string& lane, Call call);
  const std::shared_ptr<State> state_;
};

}  // namespace podshim::streaming
