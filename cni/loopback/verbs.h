// The verbs of loopback: sets `lo` up in the Pod's network namespace, whatever interface the request names.
#pragma once

#include "cni/skel/request.h"

namespace podshim::cni::loopback {

Result<json::Value> add(const Request& request);
Result<> del(const Request& request);  // a namespace that is gone is fine
Result<> check(const Request& request);

}  // namespace podshim::cni::loopback
