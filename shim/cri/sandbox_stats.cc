#include "shim/cri/container_stats.h"
#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

constexpr int kLinux = v1::PodSandboxStats::kLinuxFieldNumber;
constexpr int kContainers = v1::LinuxPodSandboxStats::kContainersFieldNumber;

// A PodSandboxStats.
std::string pod_item(Border& border, const SandboxStats& stats, const std::string& filesystem) {
  v1::LinuxPodSandboxStats usage;
  encode_usage(stats, &usage);
  std::string pod = usage.SerializeAsString(), container, out;
  for (const auto& one : stats.containers) {
    if (!one.usage) continue;  // it has just ended
    container.clear();
    append_container_stats(border, one, filesystem, &container);
    append_field(kContainers, container, &pod);
  }
  border.items.sandbox_attributes.append(stats.sandbox, &out);
  append_field(kLinux, pod, &out);
  return out;
}

}  // namespace

Result<Encoded> pod_sandbox_stats(Border& border, const v1::PodSandboxStatsRequest& request) {
  const auto view = TRY(border.runtime.sandbox(request.pod_sandbox_id()));
  if (view->state != SandboxState::ready)
    return fail(Error::of(ErrorKind::failed_precondition, "stats of sandbox", request.pod_sandbox_id(),
                          "it is not ready: nothing of it runs"));
  const auto stats = border.runtime.sandbox_stats({view});
  if (stats.empty())
    return fail(Error::of(ErrorKind::not_found, "stats of sandbox", request.pod_sandbox_id(), "it has just gone"));
  Encoded out;
  append_field1(pod_item(border, stats.front(), layer_filesystem(border)), &out.bytes);
  return out;
}

Result<Encoded> list_pod_sandbox_stats(Border& border, const v1::ListPodSandboxStatsRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  std::vector<std::shared_ptr<const SandboxView>> which;
  for (const auto& view : snapshot->sandboxes)
    if (view->state == SandboxState::ready && matches(request.filter(), *view)) which.push_back(view);
  Encoded out;
  const std::string filesystem = layer_filesystem(border);
  for (const auto& stats : border.runtime.sandbox_stats(which))
    append_field1(pod_item(border, stats, filesystem), &out.bytes);
  return out;
}

}  // namespace podshim::cri
