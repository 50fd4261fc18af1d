// The image of the fault tests: two small layers with all that a layer can have (links within and across, whiteouts,
// an opaque and an implied directory, a busybox to run), in a registry of Debian's, as an archive and as a layout.
#pragma once

#include <string>
#include <vector>

#include "tests/support/registry.h"

namespace podshim::test {

inline constexpr const char* kPulledImage = "127.0.0.1:5000/fault:1";
inline constexpr const char* kImportedImage = "podshim.dev/fault:1";
inline constexpr const char* kFaultArchive = "fault.tar";
inline constexpr const char* kFaultLayout = "fault.oci";

// Before the daemon starts; "" or why not.
std::string serve_fault_image(Node& node);
// What the store holds now is what it shall hold when the image is gone.
void keep_image_baseline(Node& node);

bool has_image(Node& node, const std::string& name);
// "" when it is listed, every blob has its digest, the layers' files are those of the first one that was looked at,
// nothing else is in the store, and a container runs from it.
std::string image_wrong(Node& node, const std::string& name);
// "" when no blob, layer or file of it is left. What is in the trash may be on its way out.
std::string image_left(Node& node);

}  // namespace podshim::test
