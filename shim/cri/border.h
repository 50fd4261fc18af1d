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

namespace podshim::cri {

struct Border {
  Runtime& runtime;
  const Config& config;
  Activity& activity;
  std::function<std::vector<Finding>()> doctor;
  Items items{};
  std::int64_t started_at_ns = 0;
};

}  // namespace podshim::cri
