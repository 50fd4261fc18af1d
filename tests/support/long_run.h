// `hack/test --long`: soaks, more rounds.
#pragma once

#include <cstdlib>

namespace podshim::test {

inline bool long_run() {
  const char* value = std::getenv("PODSHIM_LONG");  // "" in a short run of hack/test
  return value != nullptr && *value != '\0';
}

}  // namespace podshim::test
