// The verbs of portmap, a chained plugin: it passes prevResult on. DEL and GC need no more of the configuration than
// the network's name: owners are told by the comments of the elements.
#pragma once

#include "cni/skel/request.h"

namespace podshim::cni::portmap {

Result<json::Value> add(const Request& request);
Result<> del(const Request& request);
Result<> check(const Request& request);
Result<> status(const Request& request);
Result<> gc(const Request& request);

}  // namespace podshim::cni::portmap
