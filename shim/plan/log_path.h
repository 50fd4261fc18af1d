// Where a container's log goes. Pure; any thread.
#pragma once

#include <string>

#include "common/result.h"

namespace podshim {

// Absolute path below `log_directory`, "" when either is empty (output is discarded). A log_path that is absolute or
// climbs out, or a relative log_directory, is an error naming the field.
Result<std::string> container_log_path(const std::string& log_directory, const std::string& log_path);

}  // namespace podshim
