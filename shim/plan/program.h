// Program: the list of steps of one child, as a value that is built, compared, printed and encoded.
// The pure side of shim/monitor/step.h: plan/* makes Programs, apply/monitor_process sends them. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shim/monitor/step.h"

namespace podshim {

struct ProgramStep {
  Op op{};
  std::uint16_t flags = 0;
  std::int32_t slot = -1;
  std::uint64_t x = 0, y = 0, z = 0, w = 0;
  std::string a, b;                     // texts, paths, blobs
  std::vector<std::string> la, lb, lc;  // lists of exec and exec_fd
  bool operator==(const ProgramStep&) const = default;
};

struct Program {
  std::vector<ProgramStep> steps;
  bool operator==(const Program&) const = default;

  void add(ProgramStep step) { steps.push_back(std::move(step)); }
  // One line a step, flags by name, environments and blobs whole: golden tests and --dry-run.
  std::string print() const;
  // One step for an error message ("attach shm -> /dev/shm"): environments and blobs by their size only.
  std::string print_step(std::size_t index) const;
  // ProgramHeader, WireStep[], blob (shim/monitor/step.h); the monitor refuses more than kMaxProgram bytes.
  std::string encode() const;
};

}  // namespace podshim
