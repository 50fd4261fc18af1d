// The RPC functions: decode, call one lifecycle function, encode. `given_up`: the client has cancelled or gone; the
// functions without it finish what they began. Each may be called on any thread. Which thread it
// gets is its lane in methods.cc: those of lane `inline_` read published snapshots and never wait.
#pragma once

#include "admin.pb.h"
#include "common/result.h"
#include "runtime.pb.h"
#include "shim/cri/border.h"
#include "shim/cri/message_source.h"

namespace podshim::cri {

namespace v1 = ::runtime::v1;
namespace admin = ::podshim::v1;

// A response that is bytes already, put together from cached items.
struct Encoded {
  std::string bytes;
};

// runtime_info.cc
Result<v1::VersionResponse> version(Border&, const v1::VersionRequest&);
Result<v1::StatusResponse> status(Border&, const v1::StatusRequest&);
Result<v1::RuntimeConfigResponse> runtime_config(Border&, const v1::RuntimeConfigRequest&);
Result<v1::UpdateRuntimeConfigResponse> update_runtime_config(Border&, const v1::UpdateRuntimeConfigRequest&);

// sandbox_run.cc sandbox_stop.cc sandbox_list.cc sandbox_update.cc
Result<v1::RunPodSandboxResponse> run_pod_sandbox(Border&, const v1::RunPodSandboxRequest&);
Result<v1::StopPodSandboxResponse> stop_pod_sandbox(Border&, const v1::StopPodSandboxRequest&);
Result<v1::RemovePodSandboxResponse> remove_pod_sandbox(Border&, const v1::RemovePodSandboxRequest&);
Result<v1::PodSandboxStatusResponse> pod_sandbox_status(Border&, const v1::PodSandboxStatusRequest&);
Result<Encoded> list_pod_sandbox(Border&, const v1::ListPodSandboxRequest&);
Result<v1::UpdatePodSandboxResourcesResponse> update_pod_sandbox_resources(Border&,
                                                                           const v1::UpdatePodSandboxResourcesRequest&);

// container_create.cc container_stop.cc container_update.cc container_list.cc container_stats.cc container_exec_sync.cc
Result<v1::CreateContainerResponse> create_container(Border&, const v1::CreateContainerRequest&);
Result<v1::StartContainerResponse> start_container(Border&, const v1::StartContainerRequest&);
Result<v1::StopContainerResponse> stop_container(Border&, const v1::StopContainerRequest&);
Result<v1::RemoveContainerResponse> remove_container(Border&, const v1::RemoveContainerRequest&);
Result<v1::ReopenContainerLogResponse> reopen_container_log(Border&, const v1::ReopenContainerLogRequest&);
Result<v1::UpdateContainerResourcesResponse> update_container_resources(Border&,
                                                                        const v1::UpdateContainerResourcesRequest&);
Result<v1::ContainerStatusResponse> container_status(Border&, const v1::ContainerStatusRequest&);
Result<Encoded> list_containers(Border&, const v1::ListContainersRequest&);
Result<v1::ContainerStatsResponse> container_stats(Border&, const v1::ContainerStatsRequest&);
Result<Encoded> list_container_stats(Border&, const v1::ListContainerStatsRequest&);

// sandbox_stats.cc sandbox_metrics.cc
Result<Encoded> pod_sandbox_stats(Border&, const v1::PodSandboxStatsRequest&);
Result<Encoded> list_pod_sandbox_stats(Border&, const v1::ListPodSandboxStatsRequest&);
Result<v1::ListMetricDescriptorsResponse> list_metric_descriptors(Border&, const v1::ListMetricDescriptorsRequest&);
Result<Encoded> list_pod_sandbox_metrics(Border&, const v1::ListPodSandboxMetricsRequest&);

Result<v1::ExecSyncResponse> exec_sync(Border&, const v1::ExecSyncRequest&, const std::stop_token& given_up);

// events.cc
Result<std::unique_ptr<MessageSource>> container_events(Border&, const v1::GetEventsRequest&, Wake wake);

// streaming.cc
Result<v1::ExecResponse> exec(Border&, const v1::ExecRequest&);
Result<v1::AttachResponse> attach(Border&, const v1::AttachRequest&);
Result<v1::PortForwardResponse> port_forward(Border&, const v1::PortForwardRequest&);

// image_list.cc image_pull.cc image_remove.cc
Result<v1::ListImagesResponse> list_images(Border&, const v1::ListImagesRequest&);
Result<v1::ImageStatusResponse> image_status(Border&, const v1::ImageStatusRequest&);
Result<v1::ImageFsInfoResponse> image_fs_info(Border&, const v1::ImageFsInfoRequest&);
Result<v1::PullImageResponse> pull_image(Border&, const v1::PullImageRequest&, const std::stop_token& given_up);
Result<admin::PullsResponse> admin_pulls(Border&, const admin::PullsRequest&);
Result<v1::RemoveImageResponse> remove_image(Border&, const v1::RemoveImageRequest&);

// admin.cc
Result<admin::ImportImagesResponse> import_images(Border&, const admin::ImportImagesRequest&);
Result<admin::StatusResponse> admin_status(Border&, const admin::StatusRequest&);
Result<admin::TimelineResponse> admin_timeline(Border&, const admin::TimelineRequest&);  // timeline.cc
Result<admin::DoctorResponse> admin_doctor(Border&, const admin::DoctorRequest&);

}  // namespace podshim::cri
