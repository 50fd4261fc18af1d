// What the corpora of this folder are made of. Of fuzz_streaming_frames: at least one of each frame, message and
// request that a client may send, and of each mistake that is refused. Of fuzz_streaming_spdy and
// fuzz_streaming_websocket: a way to each state of a session. PODSHIM_UPDATE_GOLDEN=1 shim_streaming_test
// --gtest_filter='*Corpus*' writes them anew. Pure.
#pragma once

#include <string>
#include <vector>

namespace podshim::streaming::test {

struct Seed {
  std::string name;  // of the file
  std::string input;
};
std::vector<Seed> seeds();  // of frames; the first byte says how the rest is cut
std::vector<Seed> spdy_session_seeds();
std::vector<Seed> websocket_session_seeds();

}  // namespace podshim::streaming::test
