// Limits: every bound of the streaming server that is not a buffer size, in one place, so that tests can be short.
#pragma once

#include <chrono>
#include <cstddef>

namespace podshim::streaming {

struct Limits {
  using Duration = std::chrono::milliseconds;
  Duration token{std::chrono::minutes(1)};       // from the RPC's answer to the client's connection
  Duration header{std::chrono::seconds(10)};     // TLS handshake and request header
  Duration streams{std::chrono::seconds(30)};    // until the client has opened the streams that the request implies
  Duration idle{std::chrono::hours(4)};          // no byte in either direction
  Duration stall{std::chrono::seconds(30)};      // after the process has ended: a client that takes nothing
  Duration heartbeat{std::chrono::seconds(5)};   // to a client from whom nothing is read at the moment
  Duration grandchild{std::chrono::seconds(2)};  // after the process has ended: output that somebody else keeps open
  std::size_t sessions = 1024;                   // open at a time; one more is answered 503
  std::size_t visitors = 256;                    // connections without an accepted token; the oldest makes room
  std::size_t tokens = 1000;
  // Of one Pod's dials, and likewise of its openings of processes: so many take a thread of the shared pool at a time,
  // so many more wait for them. What waits longer than `dial_turn` to be dialled fails.
  std::size_t lane_running = 16, lane_waiting = 1024;
  Duration dial_turn{std::chrono::seconds(10)};
};

// Bytes. A session takes no more output from the process, resp. no more input from the client, above the high mark
// and goes on below the low one.
inline constexpr std::size_t kOutputHigh = 256 << 10, kOutputLow = 128 << 10;
inline constexpr std::size_t kInputHigh = 1 << 20, kInputLow = 256 << 10;

}  // namespace podshim::streaming
