#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

// The writable layers lie in --root, on one file system with the images; ImageFsInfo names it the same way.
std::string layer_filesystem(Border& border) {
  const auto usage = border.runtime.images().usage();
  return usage ? usage->mountpoint : border.config.podshim.root;
}

}  // namespace

Result<v1::ContainerStatsResponse> container_stats(Border& border, const v1::ContainerStatsRequest& request) {
  const auto view = TRY(border.runtime.container(request.container_id()));
  const auto stats = border.runtime.stats({view});
  if (stats.empty())
    return fail(
        Error::of(ErrorKind::failed_precondition, "stats of container", request.container_id(), "it does not run"));
  v1::ContainerStatsResponse out;
  encode_stats(stats.front(), layer_filesystem(border), out.mutable_stats());
  return out;
}

Result<v1::ListContainerStatsResponse> list_container_stats(Border& border,
                                                            const v1::ListContainerStatsRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  std::vector<std::shared_ptr<const ContainerView>> which;
  for (const auto& view : snapshot->containers)
    if (view->state == ContainerState::running && matches(request.filter(), *view)) which.push_back(view);
  v1::ListContainerStatsResponse out;
  const std::string filesystem = layer_filesystem(border);
  for (const auto& stats : border.runtime.stats(which)) encode_stats(stats, filesystem, out.add_stats());
  return out;
}

}  // namespace podshim::cri
