// The event loop: directory, nf_tables notifications, signals, timers; one thread, no polling. Ends on SIGTERM or
// SIGINT; the rules stay.
#pragma once

#include "netproxy/dns/service.h"
#include "netproxy/proxy.h"
#include "netproxy/source_directory.h"

namespace podshim::netproxy {

// SIGTERM and SIGINT, blocked from now on.
Result<Fd> stop_signals();

struct LoopParts {
  const Fd& signals;
  SourceDirectory& source;
  Watch& watch;
  Tracker& tracker;
  Proxy& proxy;
  Status& status;
  HealthServer& health;
  dns::Service* names = nullptr;  // when DNS is served
};

// The source was scanned and the table built before.
Result<> run_loop(LoopParts parts);

}  // namespace podshim::netproxy
