// Bytes of a program as a monitor gets them: refused, or safe to walk to the last pointer.
#include <cstdlib>
#include <cstring>

#include "shim/monitor/program_decode.h"
#include "shim/monitor/protocol.h"

namespace {

std::size_t walk(const char* const* list) {
  std::size_t sum = 0;
  for (; list != nullptr && *list != nullptr; list++) sum += std::strlen(*list);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace podshim;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  DecodedProgram program;
  if (decode_program(bytes, &program)) {
    std::size_t sum = 0;
    for (const auto& step : program.steps) {
      if (std::strlen(step.b) > size || step.a_length > size) std::abort();
      sum += walk(step.la) + walk(step.lb) + walk(step.lc);
    }
    if (program.steps.empty()) std::abort();
    if (sum > size * program.steps.size() * 3) std::abort();
  }
  PayloadReader reader(bytes);
  StartRecord record;
  std::string_view text;
  if (reader.record(&record) && reader.text(record.log_path, &text) && text.size() != record.log_path) std::abort();
  return 0;
}
