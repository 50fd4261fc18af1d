// The CNI configuration that `podshim cni-config` prints: our bridge, host-local and portmap over the whole
// cluster-cidr. Pure.
#pragma once

#include <string>

#include "common/config.h"

namespace podshim {

std::string cni_config_text(const Config& config);

}  // namespace podshim
