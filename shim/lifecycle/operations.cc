#include "shim/lifecycle/operations.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace podshim::lifecycle {

void Stage::part(const std::string& name, Clock::time_point began, Clock::time_point ended) {
  spent_.push_back({current_.load(std::memory_order_relaxed), name, began, ended - began});
}

std::string Stage::timings() {
  const auto now = Clock::now();
  finish(now);
  std::string out;
  auto append = [&](const char* name, Clock::duration took) {
    char text[64];
    std::snprintf(text, sizeof text, "%s%s=%.2f", out.empty() ? "" : " ", name,
                  std::chrono::duration<double, std::milli>(took).count());
    out += text;
  };
  for (const auto& spent : spent_)
    if (spent.part.empty()) append(spent.stage, spent.took);
  append("total", now - began_);
  return out;
}

OperationTimeline Stage::timeline(std::string operation, std::int64_t now_ns) {
  using std::chrono::duration_cast, std::chrono::microseconds;
  const auto now = Clock::now();
  finish(now);
  OperationTimeline out{
      .operation = std::move(operation), .began = began_, .took = duration_cast<microseconds>(now - began_)};
  if (now_ns != 0) out.began_at_ns = now_ns - (now - began_) / std::chrono::nanoseconds(1);
  // A part was noted before its stage ended, and began within it.
  auto spent = spent_;
  std::stable_sort(spent.begin(), spent.end(), [](const Spent& a, const Spent& b) {
    return std::make_tuple(a.began, !a.part.empty()) < std::make_tuple(b.began, !b.part.empty());
  });
  for (const auto& s : spent)
    out.stages.push_back({.name = s.part.empty() ? s.stage : s.stage + ("/" + s.part),
                          .offset = duration_cast<microseconds>(s.began - began_),
                          .took = duration_cast<microseconds>(s.took)});
  return out;
}

}  // namespace podshim::lifecycle
