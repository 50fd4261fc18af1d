#include "shim/cri/methods.h"

#include <algorithm>

#include "shim/cri/rpc.h"
#include "shim/cri/stream_lists.h"

namespace podshim::cri {
namespace {

template <typename F>
struct Signature;
template <typename Response, typename Request>
struct Signature<Result<Response> (*)(Border&, const Request&)> {
  using In = Request;
  static constexpr bool can_be_given_up = false;
};
template <typename Response, typename Request>
struct Signature<Result<Response> (*)(Border&, const Request&, const std::stop_token&)> {
  using In = Request;
  static constexpr bool can_be_given_up = true;
};

template <typename Message>
void note_subject(const Message& message, std::string* subject) {
  if constexpr (requires { message.container_id(); }) {
    *subject = message.container_id();
  } else if constexpr (requires { message.pod_sandbox_id(); }) {
    *subject = message.pod_sandbox_id();
  } else if constexpr (requires { message.image().image(); }) {
    *subject = message.image().image();
  }
}

template <typename Response>
Result<std::string> serialize(const Response& response) {
  std::string out;
  if (!response.SerializeToString(&out))
    return fail(Error::of(ErrorKind::internal, "serialize", response.GetTypeName()));
  return out;
}

template <typename Request>
Result<Request> parse(std::string_view bytes) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Error::invalid("request",
                               "is not a " + request.GetTypeName() + " (" + std::to_string(bytes.size()) + " bytes)"));
  return request;
}

template <auto function>
Result<std::string> call(Border& border, std::string_view bytes, const std::stop_token& given_up,
                         std::string* subject) {
  using Shape = Signature<decltype(function)>;
  const auto request = TRY(parse<typename Shape::In>(bytes));
  note_subject(request, subject);
  auto result = [&] {
    if constexpr (Shape::can_be_given_up)
      return function(border, request, given_up);
    else
      return function(border, request);
  }();
  auto response = TRY(std::move(result));
  if constexpr (std::is_same_v<decltype(response), Encoded>) {
    return std::move(response.bytes);
  } else {
    note_subject(response, subject);
    return serialize(response);
  }
}

template <auto function, typename Request>
Result<std::unique_ptr<MessageSource>> opened(Border& border, std::string_view bytes, Wake wake, const std::stop_token&,
                                              std::string*) {
  return function(border, TRY(parse<Request>(bytes)), std::move(wake));
}

// A streamed list: the answer of the unary one in parts.
template <auto function>
Result<std::unique_ptr<MessageSource>> streamed(Border& border, std::string_view bytes, Wake,
                                                const std::stop_token& given_up, std::string* subject) {
  return cut_list(TRY(call<function>(border, bytes, given_up, subject)));
}

#define RUNTIME(name) "/runtime.v1.RuntimeService/" name
#define IMAGE(name) "/runtime.v1.ImageService/" name
#define ADMIN(name) "/podshim.v1.Admin/" name

constexpr Method kMethods[] = {
    {RUNTIME("Version"), Lane::inline_, false, call<version>},
    {RUNTIME("Status"), Lane::stats, false, call<status>},
    {RUNTIME("RuntimeConfig"), Lane::inline_, false, call<runtime_config>},
    {RUNTIME("UpdateRuntimeConfig"), Lane::container, true, call<update_runtime_config>},
    {RUNTIME("RunPodSandbox"), Lane::sandbox, true, call<run_pod_sandbox>},
    {RUNTIME("StopPodSandbox"), Lane::sandbox, true, call<stop_pod_sandbox>},
    {RUNTIME("RemovePodSandbox"), Lane::sandbox, true, call<remove_pod_sandbox>},
    {RUNTIME("PodSandboxStatus"), Lane::inline_, false, call<pod_sandbox_status>},
    {RUNTIME("ListPodSandbox"), Lane::inline_, false, call<list_pod_sandbox>},
    {RUNTIME("StreamPodSandboxes"), Lane::inline_, false, nullptr, streamed<list_pod_sandbox>},
    {RUNTIME("CreateContainer"), Lane::container, true, call<create_container>},
    {RUNTIME("StartContainer"), Lane::container, true, call<start_container>},
    {RUNTIME("StopContainer"), Lane::wait, true, call<stop_container>},
    {RUNTIME("RemoveContainer"), Lane::container, true, call<remove_container>},
    {RUNTIME("ListContainers"), Lane::inline_, false, call<list_containers>},
    {RUNTIME("StreamContainers"), Lane::inline_, false, nullptr, streamed<list_containers>},
    {RUNTIME("ContainerStatus"), Lane::inline_, false, call<container_status>},
    {RUNTIME("UpdateContainerResources"), Lane::container, true, call<update_container_resources>},
    {RUNTIME("UpdatePodSandboxResources"), Lane::container, true, call<update_pod_sandbox_resources>},
    {RUNTIME("ReopenContainerLog"), Lane::container, true, call<reopen_container_log>},
    {RUNTIME("ExecSync"), Lane::wait, false, call<exec_sync>},
    {RUNTIME("Exec"), Lane::inline_, false, call<exec>},
    {RUNTIME("Attach"), Lane::inline_, false, call<attach>},
    {RUNTIME("PortForward"), Lane::inline_, false, call<port_forward>},
    {RUNTIME("ContainerStats"), Lane::stats, false, call<container_stats>},
    {RUNTIME("ListContainerStats"), Lane::stats, false, call<list_container_stats>},
    {RUNTIME("StreamContainerStats"), Lane::stats, false, nullptr, streamed<list_container_stats>},
    {RUNTIME("PodSandboxStats"), Lane::stats, false, call<pod_sandbox_stats>},
    {RUNTIME("ListPodSandboxStats"), Lane::stats, false, call<list_pod_sandbox_stats>},
    {RUNTIME("StreamPodSandboxStats"), Lane::stats, false, nullptr, streamed<list_pod_sandbox_stats>},
    {RUNTIME("ListMetricDescriptors"), Lane::inline_, false, call<list_metric_descriptors>},
    {RUNTIME("ListPodSandboxMetrics"), Lane::stats, false, call<list_pod_sandbox_metrics>},
    {RUNTIME("StreamPodSandboxMetrics"), Lane::stats, false, nullptr, streamed<list_pod_sandbox_metrics>},
    {RUNTIME("GetContainerEvents"), Lane::inline_, false, nullptr, opened<container_events, v1::GetEventsRequest>},
    {IMAGE("ListImages"), Lane::inline_, false, call<list_images>},
    {IMAGE("StreamImages"), Lane::inline_, false, nullptr, streamed<list_images>},
    {IMAGE("ImageStatus"), Lane::inline_, false, call<image_status>},
    {IMAGE("ImageFsInfo"), Lane::inline_, false, call<image_fs_info>},
    {IMAGE("PullImage"), Lane::pull, true, call<pull_image>},
    {IMAGE("RemoveImage"), Lane::wait, true, call<remove_image>},
    {ADMIN("ImportImages"), Lane::wait, true, call<import_images>},
    {ADMIN("Pulls"), Lane::inline_, false, call<admin_pulls>},
    {ADMIN("Status"), Lane::stats, false, call<admin_status>},
    {ADMIN("Timeline"), Lane::inline_, false, call<admin_timeline>},
    {ADMIN("Doctor"), Lane::stats, false, call<admin_doctor>},
};

}  // namespace

const Method* find_method(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kMethods), std::end(kMethods), [&](const Method& m) { return m.name == name; });
  return it == std::end(kMethods) ? nullptr : it;
}

}  // namespace podshim::cri
