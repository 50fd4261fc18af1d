// Makes on the host what volume_needs() names: checks and makes hostPaths by their type, writes ConfigMap and Secret
// files, makes emptyDirs of our own. Root. Any thread; repeated calls are fine. Errors name the volume.
#pragma once

#include "podlet/pod_config.h"

namespace podshim::podlet {

Result<> prepare_volumes(const VolumeNeeds& needs);
// Everything under <state>/volumes/<uid> and the Pod's log directory.
Result<> remove_volumes(const PodRecord& record, const NodeFacts& node);

}  // namespace podshim::podlet
