// Endpoints (core/v1), the older form of EndpointSlices, given by users for Services without a selector. Decoded
// straight to slices: one a subset and address family. Pure; any thread.
#pragma once

#include <vector>

#include "common/kube/endpoint_slice.h"

namespace podshim::kube {

Result<std::vector<EndpointSlice>> decode_endpoints(const json::Reader& object, Unknowns& unknowns);

}  // namespace podshim::kube
