#include "shim/cri/methods.h"

#include <algorithm>

#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

template <typename F>
struct Signature;
template <typename Response, typename Request>
struct Signature<Result<Response> (*)(Border&, const Request&)> {
  using In = Request;
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

template <auto function>
Result<std::string> call(Border& border, std::string_view bytes, std::string* subject) {
  typename Signature<decltype(function)>::In request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Error::invalid("request",
                               "is not a " + request.GetTypeName() + " (" + std::to_string(bytes.size()) + " bytes)"));
  note_subject(request, subject);
  auto response = TRY(function(border, request));
  if constexpr (std::is_same_v<decltype(response), Encoded>) {
    return std::move(response.bytes);
  } else {
    note_subject(response, subject);
    return serialize(response);
  }
}

#define RUNTIME(name) "/runtime.v1.RuntimeService/" name
#define IMAGE(name) "/runtime.v1.ImageService/" name
#define ADMIN(name) "/podshim.v1.Admin/" name

constexpr Method kMethods[] = {
    {RUNTIME("Version"), Lane::inline_, false, call<version>},
    {RUNTIME("Status"), Lane::inline_, false, call<status>},
    {RUNTIME("RuntimeConfig"), Lane::inline_, false, call<runtime_config>},
    {RUNTIME("UpdateRuntimeConfig"), Lane::container, true, call<update_runtime_config>},
    {RUNTIME("RunPodSandbox"), Lane::sandbox, true, call<run_pod_sandbox>},
    {RUNTIME("StopPodSandbox"), Lane::sandbox, true, call<stop_pod_sandbox>},
    {RUNTIME("RemovePodSandbox"), Lane::sandbox, true, call<remove_pod_sandbox>},
    {RUNTIME("PodSandboxStatus"), Lane::inline_, false, call<pod_sandbox_status>},
    {RUNTIME("ListPodSandbox"), Lane::inline_, false, call<list_pod_sandbox>},
    {RUNTIME("CreateContainer"), Lane::container, true, call<create_container>},
    {RUNTIME("StartContainer"), Lane::container, true, call<start_container>},
    {RUNTIME("StopContainer"), Lane::wait, true, call<stop_container>},
    {RUNTIME("RemoveContainer"), Lane::container, true, call<remove_container>},
    {RUNTIME("ListContainers"), Lane::inline_, false, call<list_containers>},
    {RUNTIME("ContainerStatus"), Lane::inline_, false, call<container_status>},
    {RUNTIME("ReopenContainerLog"), Lane::container, true, call<reopen_container_log>},
    {RUNTIME("ExecSync"), Lane::wait, false, call<exec_sync>},
    {RUNTIME("ContainerStats"), Lane::stats, false, call<container_stats>},
    {RUNTIME("ListContainerStats"), Lane::stats, false, call<list_container_stats>},
    {IMAGE("ListImages"), Lane::inline_, false, call<list_images>},
    {IMAGE("ImageStatus"), Lane::inline_, false, call<image_status>},
    {IMAGE("ImageFsInfo"), Lane::inline_, false, call<image_fs_info>},
    {IMAGE("PullImage"), Lane::wait, true, call<pull_image>},
    {IMAGE("RemoveImage"), Lane::wait, true, call<remove_image>},
    {ADMIN("ImportImages"), Lane::wait, true, call<import_images>},
    {ADMIN("Status"), Lane::inline_, false, call<admin_status>},
    {ADMIN("Doctor"), Lane::stats, false, call<admin_doctor>},
};

}  // namespace

const Method* find_method(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kMethods), std::end(kMethods), [&](const Method& m) { return m.name == name; });
  return it == std::end(kMethods) ? nullptr : it;
}

}  // namespace podshim::cri
