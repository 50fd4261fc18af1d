// Timeline: how long each stage of an operation took, kept as data with what the operation made: a sandbox's start, a
// container's creation and start. In memory only: a restart of the daemon forgets it, since writing the last stages
// down would cost each start another write of its record.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace podshim {

struct StageSpan {
  std::string name;                            // "monitor"; a part of a stage has both names: "cni/bridge"
  std::chrono::microseconds offset{}, took{};  // offset: from the beginning of the operation
};

struct OperationTimeline {
  std::string operation;        // "RunPodSandbox", "CreateContainer", "StartContainer"
  std::string container, name;  // id and name; "" = of the sandbox
  std::int64_t began_at_ns = 0;
  std::chrono::steady_clock::time_point began{};  // for the order: the other clock may be set
  std::chrono::microseconds took{};
  std::vector<StageSpan> stages;  // none: the daemon was restarted since
};

// Told of each operation that succeeded and did something, by the thread that did it.
using StageObserver = std::function<void(const std::string& operation, const std::vector<StageSpan>& stages,
                                         std::chrono::microseconds took)>;

}  // namespace podshim
