// Border: what every RPC function is given. Built once in main; all parts outlive the server. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/config.h"
#include "shim/cri/activity.h"
#include "shim/cri/finding.h"
#include "shim/cri/items.h"
#include "shim/cri/version.h"
#include "shim/lifecycle/runtime.h"
#include "shim/metrics/metrics.h"

namespace podshim::streaming {
class Server;
}

namespace podshim::cri {

struct Border {
  Runtime& runtime;
  const Config& config;
  Activity& activity;
  std::function<std::vector<Finding>()> doctor;
  Items items{};
  std::int64_t started_at_ns = 0;
  Metrics* metrics = nullptr;                         // may be none
  std::function<std::size_t()> streaming_sessions{};  // how many are open; may be none
  streaming::Server* streaming = nullptr;             // none: Exec, Attach and PortForward are refused
};

}  // namespace podshim::cri
