#include "shim/cri/lanes.h"

#include <algorithm>

namespace podshim::cri {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kWaitPatience{1000};

bool drain_until(Pool& pool, std::chrono::steady_clock::time_point end) {
  const auto left = end - std::chrono::steady_clock::now();
  return pool.drain(std::max(std::chrono::duration_cast<milliseconds>(left), milliseconds(0)));
}

}  // namespace

Pool* Lanes::of(Lane lane) {
  switch (lane) {
    case Lane::inline_:
      return nullptr;
    case Lane::sandbox:
      return &sandbox_;
    case Lane::container:
      return &container_;
    case Lane::pull:
      return &pull_;
    case Lane::wait:
      return &wait_;
    case Lane::stats:
      return &stats_;
  }
  return nullptr;
}

bool Lanes::drain(milliseconds patience) {
  const auto now = std::chrono::steady_clock::now();
  bool empty = drain_until(wait_, now + std::min(patience, kWaitPatience));
  empty = drain_until(pull_, now + std::min(patience, kWaitPatience)) && empty;
  for (Pool* pool : {&sandbox_, &container_, &stats_}) empty = drain_until(*pool, now + patience) && empty;
  return empty;
}

}  // namespace podshim::cri
