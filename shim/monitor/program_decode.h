// Bytes of a program (shim/monitor/step.h) -> ChildSteps with pointers into those bytes. Every offset, length and count
// is checked; a program that does not pass is refused whole. The bytes must outlive the result. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/monitor/child_plan.h"

namespace podshim {

struct DecodedProgram {
  std::vector<ChildStep> steps;
  std::vector<const char*> pointers;  // of all lists, each with its nullptr
  bool uses_slot[kSlots] = {};        // so that only those namespaces and mounts are opened
  bool uses(Slot slot) const { return uses_slot[static_cast<int>(slot)]; }
};

Result<> decode_program(std::string_view bytes, DecodedProgram* out);

}  // namespace podshim
