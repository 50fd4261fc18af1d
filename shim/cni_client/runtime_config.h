// The "runtimeConfig" of a plugin: what it gets beyond its file, for the capabilities that it declares
// (CNI conventions: portMappings, ips, ipRanges, bandwidth, dns). Pure.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "shim/cni_client/network.h"

namespace podshim::cni {

// An object; empty when nothing is to be said.
json::Value runtime_config(const std::vector<std::string>& capabilities, const Attachment& attachment);

}  // namespace podshim::cni
