// The bytes of one ContainerStats, for the lists of containers and of Pods. Any thread.
#pragma once

#include <string>

#include "shim/cri/border.h"

namespace podshim::cri {

// The writable layers lie in --root, on one file system with the images; ImageFsInfo names it the same way.
std::string layer_filesystem(Border& border);
void append_container_stats(Border& border, const ContainerStats& stats, const std::string& filesystem,
                            std::string* out);

}  // namespace podshim::cri
