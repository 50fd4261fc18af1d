// Where the allocator's State lives between calls. Whoever holds a Store holds its network's lock; save() is all or
// nothing.
#pragma once

#include "cni/ipam/allocator.h"

namespace podshim::cni::ipam {

class Store {
 public:
  virtual ~Store() = default;
  virtual Result<State> load() = 0;
  virtual Result<> save(const State& state) = 0;
};

// The State as text, and back. decode(encode(s)) == s. Pure.
std::string encode(const State& state);
Result<State> decode_state(std::string_view text);
// What is whole of a text that does not decode: every good line that was closed.
State salvage(std::string_view text);

}  // namespace podshim::cni::ipam
