#include "shim/cri/container_stats.h"

#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

std::string layer_filesystem(Border& border) {
  const auto usage = border.runtime.images().usage();
  return usage ? usage->mountpoint : border.config.podshim.root;
}

// The attributes, most of the bytes, come from the cache: field 1 of a ContainerStats.
void append_container_stats(Border& border, const ContainerStats& stats, const std::string& filesystem,
                            std::string* out) {
  v1::ContainerStats usage;
  encode_usage(stats, filesystem, &usage);
  border.items.attributes.append(stats.container, out);
  usage.AppendToString(out);
}

Result<v1::ContainerStatsResponse> container_stats(Border& border, const v1::ContainerStatsRequest& request) {
  const auto view = TRY(border.runtime.container(request.container_id()));
  const auto stats = border.runtime.stats({view});
  if (stats.empty())
    return fail(Error::of(ErrorKind::not_found, "stats of container", request.container_id(), "it has just gone"));
  v1::ContainerStatsResponse out;
  encode_attributes(*view, out.mutable_stats()->mutable_attributes());
  encode_usage(stats.front(), layer_filesystem(border), out.mutable_stats());
  return out;
}

Result<Encoded> list_container_stats(Border& border, const v1::ListContainerStatsRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  std::vector<std::shared_ptr<const ContainerView>> which;
  for (const auto& view : snapshot->containers)
    if (view->state == ContainerState::running && matches(request.filter(), *view)) which.push_back(view);
  Encoded out;
  const std::string filesystem = layer_filesystem(border);
  std::string item;
  for (const auto& stats : border.runtime.stats(which)) {
    if (!stats.usage) continue;  // it has just ended
    item.clear();
    append_container_stats(border, stats, filesystem, &item);
    append_field1(item, &out.bytes);
  }
  return out;
}

}  // namespace podshim::cri
