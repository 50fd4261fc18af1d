// The numbers of now for the metrics page: snapshots and counters, no plugin and no monitor is asked. Any thread.
#pragma once

#include <vector>

#include "shim/cri/border.h"
#include "shim/metrics/metrics.h"

namespace podshim::cri {

std::vector<Gauge> gauges(const Border& border);

}  // namespace podshim::cri
