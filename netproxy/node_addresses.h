// The addresses of this node, in the network namespace of the caller. Any thread.
#pragma once

#include <vector>

#include "common/ip.h"

namespace podshim::netproxy {

Result<std::vector<IpAddress>> node_addresses();

}  // namespace podshim::netproxy
