// Rollback: an ordered undo list for persistent things (mounts, cgroups, bound netns, links, addresses).
// Steps run last-in first-out when the object goes without commit(); a step that fails is logged by the `on_error`
// given and the rest still run. One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/fault.h"
#include "common/result.h"

namespace podshim {

class Rollback {
 public:
  using OnError = std::function<void(const std::string& step, const Error&)>;
  explicit Rollback(OnError on_error) : on_error_(std::move(on_error)) {}
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() { run(); }

  void add(std::string step, std::function<Result<>()> undo) {
    steps_.push_back({std::move(step), std::move(undo)});
    fault_point(steps_.back().name.c_str());
  }
  void commit() { steps_.clear(); }
  void run() {
    while (!steps_.empty()) {
      auto step = std::move(steps_.back());
      steps_.pop_back();
      if (auto r = step.undo(); !r && on_error_) on_error_(step.name, r.error());
    }
  }

 private:
  struct Step {
    std::string name;
    std::function<Result<>()> undo;
  };
  OnError on_error_;
  std::vector<Step> steps_;
};

}  // namespace podshim
