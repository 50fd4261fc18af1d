// in_halves: a long row of readings that wait for nothing but the kernel's own work, by two threads: the caller's and,
// when there is enough to do, one more, which has ended when this returns. `work` is called with [begin, end) of each
// half, at the same time, and must not throw.
#pragma once

#include <cstddef>
#include <thread>

namespace podshim::lifecycle {

template <typename Work>
void in_halves(std::size_t count, std::size_t worth_a_thread, Work work) {
  if (count < worth_a_thread) return work(std::size_t{0}, count);
  std::jthread second([&] { work(count / 2, count); });
  work(std::size_t{0}, count / 2);
}

}  // namespace podshim::lifecycle
