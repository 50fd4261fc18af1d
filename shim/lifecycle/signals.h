// Names of signals as images write them (STOPSIGNAL): SIGTERM, TERM, 15, SIGRTMIN+3, RTMAX-1. Pure.
#pragma once

#include <string_view>

#include "common/result.h"

namespace podshim::lifecycle {

// "" is SIGTERM. invalid_argument for what is no signal.
Result<int> parse_signal(std::string_view text);

}  // namespace podshim::lifecycle
