// The event loop: directory, nf_tables notifications, signals, timers; one thread, no polling. Ends on SIGTERM or
// SIGINT, which must be blocked already; the rules stay.
#pragma once

#include "netproxy/proxy.h"
#include "netproxy/source_directory.h"

namespace podshim::netproxy {

struct LoopParts {
  SourceDirectory& source;
  Watch& watch;
  Tracker& tracker;
  Proxy& proxy;
  Status& status;
};

// The source was scanned and the table built before.
Result<> run_loop(LoopParts parts);

}  // namespace podshim::netproxy
