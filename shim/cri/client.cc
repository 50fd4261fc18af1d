#include "shim/cri/client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <future>

#include "admin.pb.h"
#include "runtime.pb.h"
#include "shim/cri/status_code.h"

namespace podshim::cri {
namespace {

namespace v1 = ::runtime::v1;
namespace admin = ::podshim::v1;

constexpr std::chrono::seconds kShort{30};
constexpr std::chrono::hours kImport{1};

ErrorKind kind_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
      return ErrorKind::invalid_argument;
    case grpc::StatusCode::NOT_FOUND:
      return ErrorKind::not_found;
    case grpc::StatusCode::UNAVAILABLE:
      return ErrorKind::unavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ErrorKind::deadline_exceeded;
    case grpc::StatusCode::UNIMPLEMENTED:
      return ErrorKind::unimplemented;
    default:
      return ErrorKind::internal;
  }
}

template <typename Image>
ImageLine image_line(const Image& image, std::uint64_t size) {
  return {.id = image.id(), .tags = {image.repo_tags().begin(), image.repo_tags().end()}, .size_bytes = size};
}

}  // namespace

struct AdminClient::Channel {
  std::string socket;
  std::shared_ptr<grpc::Channel> channel;

  template <typename Request, typename Response>
  Result<> call(const char* method, const Request& request, Response* response, std::chrono::seconds timeout = kShort) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    grpc::TemplatedGenericStub<Request, Response> stub(channel);
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, method, grpc::StubOptions(), &request, response,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    if (status.ok()) return {};
    const bool gone = channel->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE;
    return fail(Error::of(kind_of(status.error_code()), gone ? "no podshim answers on" : "podshim on", socket,
                          status.error_message()));
  }
};

AdminClient::AdminClient(std::string socket) : channel_(std::make_unique<Channel>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel_->channel = grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
  channel_->socket = std::move(socket);
}

AdminClient::~AdminClient() = default;

Result<std::vector<ImageLine>> AdminClient::import_images(const std::vector<std::string>& absolute_paths) {
  admin::ImportImagesRequest request;
  for (const auto& path : absolute_paths) request.add_paths(path);
  admin::ImportImagesResponse response;
  TRY(channel_->call("/podshim.v1.Admin/ImportImages", request, &response, kImport));
  std::vector<ImageLine> out;
  for (const auto& image : response.images()) out.push_back(image_line(image, image.size_bytes()));
  return out;
}

Result<std::vector<ImageLine>> AdminClient::list_images() {
  v1::ListImagesResponse response;
  TRY(channel_->call("/runtime.v1.ImageService/ListImages", v1::ListImagesRequest(), &response));
  std::vector<ImageLine> out;
  for (const auto& image : response.images()) out.push_back(image_line(image, image.size()));
  return out;
}

Result<> AdminClient::remove_image(const std::string& reference) {
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(reference);
  v1::RemoveImageResponse response;
  return channel_->call("/runtime.v1.ImageService/RemoveImage", request, &response);
}

Result<DaemonStatus> AdminClient::status() {
  admin::StatusResponse r;
  TRY(channel_->call("/podshim.v1.Admin/Status", admin::StatusRequest(), &r));
  DaemonStatus out{.version = r.version(),
                   .started_at_ns = r.started_at_ns(),
                   .quarantined = {r.quarantined().begin(), r.quarantined().end()},
                   .warnings = {r.warnings().begin(), r.warnings().end()},
                   .sandboxes_ready = r.sandboxes_ready(),
                   .sandboxes_not_ready = r.sandboxes_not_ready(),
                   .containers_running = r.containers_running(),
                   .containers_other = r.containers_other(),
                   .images = r.images(),
                   .requests_served = r.requests_served()};
  for (const auto& c : r.conditions())
    out.conditions.push_back({.type = c.type(), .reason = c.reason(), .message = c.message(), .ok = c.ok()});
  for (const auto& call : r.running()) out.running.push_back({.name = call.name(), .age_ms = call.age_ms()});
  return out;
}

Result<std::vector<Finding>> AdminClient::doctor() {
  admin::DoctorResponse response;
  TRY(channel_->call("/podshim.v1.Admin/Doctor", admin::DoctorRequest(), &response));
  std::vector<Finding> out;
  for (const auto& f : response.findings())
    out.push_back(
        {.level = static_cast<Finding::Level>(f.level()), .check = f.check(), .found = f.found(), .fix = f.fix()});
  return out;
}

}  // namespace podshim::cri
