// The pause program's bytes, linked into the monitor.
#pragma once

#include <string_view>

namespace podshim {

std::string_view pause_image();

}  // namespace podshim
