// A script makes one session and drives it to its end; what breaks an invariant aborts. The bodies of the fuzz targets
// of sessions, and of the tests of their corpus. One thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace podshim::streaming::test {

// What a script has led to, for tests of the corpus.
struct Reached {
  std::size_t replied = 0, refused = 0, ended = 0, bytes = 0, pings = 0;  // SPDY: streams, bytes of data
  std::size_t messages = 0, pongs = 0, closes = 0;                        // WebSocket
  std::size_t processes = 0, connections = 0;
};
Reached run_spdy_session(std::string_view script);
Reached run_websocket_session(std::string_view script);

}  // namespace podshim::streaming::test
