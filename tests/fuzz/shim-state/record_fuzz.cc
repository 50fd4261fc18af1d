// Records on disk: whatever stands in the file, decoding ends; what decodes is the same after another round.
#include <cstdint>
#include <cstdlib>

#include "shim/state/record.h"

namespace {

template <typename Decode>
void round_trip(const std::string& text, Decode decode) {
  const auto first = decode(text);
  if (!first) return;
  const auto second = decode(podshim::state::encode(*first));
  if (!second || podshim::state::encode(*second) != podshim::state::encode(*first)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  round_trip(text, [](const std::string& t) { return podshim::state::decode_sandbox(t); });
  round_trip(text, [](const std::string& t) { return podshim::state::decode_container(t); });
  return 0;
}
