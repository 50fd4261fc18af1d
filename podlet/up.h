// `podlet up`: builds the Node with its real surroundings (gRPC, worker threads, prober, inotify, control socket) and
// runs its loop until SIGTERM or SIGINT. Pods go on running. Process-wide: call once, from main's thread.
#pragma once

#include <string>

#include "common/config.h"

namespace podshim::podlet {

struct UpOptions {
  Config config;          // flags are in it already
  std::string directory;  // watched manifests
  std::string netproxy_status;
};

int run_up(const UpOptions& options);

}  // namespace podshim::podlet
