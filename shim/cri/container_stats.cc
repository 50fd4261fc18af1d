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
  encode_attributes(*view, out.mutable_stats()->mutable_attributes());
  encode_usage(stats.front(), layer_filesystem(border), out.mutable_stats());
  return out;
}

// The attributes, most of the bytes, come from the cache: field 1 of a ContainerStats, as that is field 1 of the
// response.
Result<Encoded> list_container_stats(Border& border, const v1::ListContainerStatsRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  std::vector<std::shared_ptr<const ContainerView>> which;
  for (const auto& view : snapshot->containers)
    if (view->state == ContainerState::running && matches(request.filter(), *view)) which.push_back(view);
  Encoded out;
  const std::string filesystem = layer_filesystem(border);
  std::string item;
  for (const auto& stats : border.runtime.stats(which)) {
    v1::ContainerStats usage;
    encode_usage(stats, filesystem, &usage);
    item.clear();
    border.items.attributes.append(stats.container, &item);
    usage.AppendToString(&item);
    append_field1(item, &out.bytes);
  }
  return out;
}

}  // namespace podshim::cri
