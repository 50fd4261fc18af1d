// What a bench program measured, appended to a file: one line "KEY SIDE VALUE" each. SIDE is "ours" or "peer"; KEY and
// the unit of VALUE are those of hack/bench.d/rows. bench_report makes medians, ratios and verdicts of the lines, so a
// program that measures decides nothing. One thread at a time.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace podshim::bench {

using Clock = std::chrono::steady_clock;

inline double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

class Samples {
 public:
  explicit Samples(const std::string& file) : out_(std::fopen(file.c_str(), "ae")) {
    if (out_ != nullptr) return;
    std::perror(file.c_str());
    std::exit(1);
  }
  ~Samples() { std::fclose(out_); }
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;

  void add(const std::string& key, const std::string& side, double value) {
    std::fprintf(out_, "%s %s %.4f\n", key.c_str(), side.c_str(), value);
  }

 private:
  std::FILE* out_;
};

}  // namespace podshim::bench
