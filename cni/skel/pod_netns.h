// The Pod's network namespace of a request. Refuses one that is the plugin's own: setting that up would cut the node
// off.
#pragma once

#include "cni/skel/request.h"
#include "common/fd.h"

namespace podshim::cni {

Result<Fd> open_pod_netns(const Request& request);

}  // namespace podshim::cni
