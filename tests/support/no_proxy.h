// A proxy of the machine's must not stand between a test and its own registry.
#pragma once

#include <cstdlib>

namespace podshim::test {

inline void ignore_proxies() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
}

}  // namespace podshim::test
