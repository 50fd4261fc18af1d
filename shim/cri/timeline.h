// Timelines as JSON, for the verbose answers of the status calls: the operations of `container`, or all of the Pod.
#pragma once

#include <string>
#include <vector>

#include "shim/lifecycle/timeline.h"

namespace podshim::cri {

std::string timeline_info(const std::vector<OperationTimeline>& operations);
std::string timeline_info(const std::vector<OperationTimeline>& operations, const std::string& container);

}  // namespace podshim::cri
