// Lanes: the thread pools behind the method table. of() gives nullptr for what runs on the I/O thread. Any thread.
#pragma once

#include <chrono>

#include "shim/cri/methods.h"
#include "shim/cri/pool.h"

namespace podshim::cri {

class Lanes {
 public:
  Pool* of(Lane lane);
  // True: nothing runs any more. What waits as long as its client asked gets a moment only: the next start picks it up.
  bool drain(std::chrono::milliseconds patience);

 private:
  // The widths are what may hang at once without delaying the rest of the lane. A thread costs some 20 kB while it
  // waits.
  Pool sandbox_{{.name = "cri-sandbox", .max_threads = 128}};
  Pool container_{{.name = "cri-container", .max_threads = 256}};
  Pool pull_{{.name = "cri-pull", .max_threads = 256}};
  Pool wait_{{.name = "cri-wait", .max_threads = 1024}};
  // A kubelet calls here every five seconds: its thread stays.
  Pool stats_{{.name = "cri-stats", .max_threads = 4, .linger = std::chrono::seconds(30)}};
};

}  // namespace podshim::cri
