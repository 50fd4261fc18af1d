// ChildPlan: all that a cloned child knows. Made by the monitor before the clone; the child has its own copy of the
// memory (clone without CLONE_VM), so what it writes here stays its own.
//
// Child and monitor, over one close-on-exec pipe:
//
//   child                                         monitor
//     | ChildReport{noted, step, errno}   -------> |  a step with kMayFail failed; goes on
//     | ChildReport{failed, step, errno}  -------> |  and _exit(127)
//     | ChildReport{at_exec}              -------> |  every step before exec is done
//     | end of file                       -------> |  after at_exec: exec happened; without it: the child was killed
//
// Code of child_*.cc: raw system calls only, noexcept, no allocation, no lock, no stdio, no destructor with effect
// (hack/check-child-symbols.sh holds it to that).
#pragma once

#include <cstdint>
#include <type_traits>

#include "shim/monitor/step.h"

namespace podshim {

enum class ChildReportKind : std::uint32_t { noted, failed, at_exec };

struct ChildReport {
  ChildReportKind kind{};
  std::uint32_t step = 0;
  std::int32_t err = 0;
};

struct ChildStep {
  Op op{};
  std::uint16_t flags = 0;
  std::int32_t slot = -1;
  std::uint64_t x = 0, y = 0, z = 0, w = 0;
  const char* a = "";
  const char* b = "";
  std::uint32_t a_length = 0, b_length = 0;
  const char* const* la = nullptr;  // lists end with nullptr
  const char* const* lb = nullptr;
  const char* const* lc = nullptr;
};

// What steps hand to later steps.
struct ChildScratch {
  int slots[kSlots];
  int root = -1;       // the container's root, or "/" when a step first asks
  int empty_dir = -1;  // an attached empty tmpfs, cloned for each masked directory
};

struct ChildPlan {
  const ChildStep* steps = nullptr;
  std::uint32_t step_count = 0;
  ChildScratch* scratch = nullptr;
  int report_pipe = -1;
  int monitor_pidfd = -1;  // readable once the monitor has ended
};

template <typename T>
inline constexpr bool kPlainForChild = std::is_standard_layout_v<T> && std::is_trivially_destructible_v<T>;
static_assert(kPlainForChild<ChildPlan> && kPlainForChild<ChildStep> && kPlainForChild<ChildScratch> &&
              kPlainForChild<ChildReport>);

// The child's whole life before exec.
[[noreturn]] void run_child(const ChildPlan& plan) noexcept;

}  // namespace podshim
