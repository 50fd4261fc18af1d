#include "shim/lifecycle/operations.h"

#include <cstdio>

namespace podshim::lifecycle {

std::string Stage::timings() {
  const auto now = Clock::now();
  if (current_.load(std::memory_order_relaxed) != nullptr) finish(now);
  entered_ = now;
  std::string out;
  auto append = [&](const char* name, Clock::duration took) {
    char text[64];
    std::snprintf(text, sizeof text, "%s%s=%.2f", out.empty() ? "" : " ", name,
                  std::chrono::duration<double, std::milli>(took).count());
    out += text;
  };
  for (const auto& [name, took] : spent_) append(name, took);
  append("total", now - began_);
  return out;
}

}  // namespace podshim::lifecycle
