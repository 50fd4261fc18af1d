// SPDY sessions: see spdy_session.cc.
#include <cstdint>

#include "tests/fuzz/shim-streaming/sessions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  podshim::streaming::test::run_spdy_session({reinterpret_cast<const char*>(data), size});
  return 0;
}
