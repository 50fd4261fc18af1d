#include "shim/cri/client.h"

#include "admin.pb.h"
#include "runtime.pb.h"
#include "shim/cri/unary_call.h"

namespace podshim::cri {
namespace {

namespace v1 = ::runtime::v1;
namespace admin = ::podshim::v1;

constexpr std::chrono::seconds kShort{30};
constexpr std::chrono::hours kImport{1};
constexpr std::chrono::hours kPull{24};  // a pull ends by itself when nothing comes any more

template <typename Image>
ImageLine image_line(const Image& image, std::uint64_t size) {
  return {.id = image.id(), .tags = {image.repo_tags().begin(), image.repo_tags().end()}, .size_bytes = size};
}

}  // namespace

template <typename Request, typename Response>
Result<> AdminClient::call(const char* method, const Request& request, Response* response,
                           std::chrono::seconds timeout) {
  const auto bytes = TRY(unary_call(socket_, method, request.SerializeAsString(), timeout));
  if (!response->ParseFromString(bytes))
    return fail(Error::of(ErrorKind::internal, "podshim on", socket_, "the answer is no " + response->GetTypeName()));
  return {};
}

Result<std::vector<ImageLine>> AdminClient::import_images(const std::vector<std::string>& absolute_paths) {
  admin::ImportImagesRequest request;
  for (const auto& path : absolute_paths) request.add_paths(path);
  admin::ImportImagesResponse response;
  TRY(call("/podshim.v1.Admin/ImportImages", request, &response, kImport));
  std::vector<ImageLine> out;
  for (const auto& image : response.images()) out.push_back(image_line(image, image.size_bytes()));
  return out;
}

Result<std::vector<ImageLine>> AdminClient::list_images() {
  v1::ListImagesResponse response;
  TRY(call("/runtime.v1.ImageService/ListImages", v1::ListImagesRequest(), &response, kShort));
  std::vector<ImageLine> out;
  for (const auto& image : response.images()) out.push_back(image_line(image, image.size()));
  return out;
}

Result<ImageLine> AdminClient::find_image(const std::string& reference) {
  v1::ImageStatusRequest request;
  request.mutable_image()->set_image(reference);
  v1::ImageStatusResponse response;
  TRY(call("/runtime.v1.ImageService/ImageStatus", request, &response, kShort));
  if (!response.has_image()) return fail(Error::of(ErrorKind::not_found, "find image", reference));
  return image_line(response.image(), response.image().size());
}

Result<std::string> AdminClient::pull_image(const std::string& reference, const PullCredentials& credentials) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(reference);
  if (!credentials.username.empty()) {
    request.mutable_auth()->set_username(credentials.username);
    request.mutable_auth()->set_password(credentials.password);
  }
  v1::PullImageResponse response;
  TRY(call("/runtime.v1.ImageService/PullImage", request, &response, kPull));
  return response.image_ref();
}

Result<std::vector<PullLine>> AdminClient::pulls() {
  admin::PullsResponse response;
  TRY(call("/podshim.v1.Admin/Pulls", admin::PullsRequest(), &response, kShort));
  std::vector<PullLine> out;
  for (const auto& pull : response.pulls()) {
    PullLine line{.reference = pull.reference()};
    for (const auto& l : pull.layers())
      line.layers.push_back({.digest = l.digest(),
                             .size = l.size(),
                             .fetched = l.fetched(),
                             .stage = static_cast<LayerLine::Stage>(l.stage())});
    out.push_back(std::move(line));
  }
  return out;
}

Result<> AdminClient::remove_image(const std::string& reference) {
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(reference);
  v1::RemoveImageResponse response;
  return call("/runtime.v1.ImageService/RemoveImage", request, &response, kShort);
}

Result<DaemonStatus> AdminClient::status() {
  admin::StatusResponse r;
  TRY(call("/podshim.v1.Admin/Status", admin::StatusRequest(), &r, kShort));
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

Result<PodTimeline> AdminClient::timeline(const std::string& pod) {
  using std::chrono::microseconds;
  admin::TimelineRequest request;
  request.set_pod(pod);
  admin::TimelineResponse r;
  TRY(call("/podshim.v1.Admin/Timeline", request, &r, kShort));
  PodTimeline out{.sandbox = r.sandbox_id(), .name_space = r.namespace_(), .name = r.name()};
  for (const auto& o : r.operations()) {
    OperationTimeline one{.operation = o.operation(),
                          .container = o.container_id(),
                          .name = o.container_name(),
                          .began_at_ns = o.began_at_ns(),
                          .took = microseconds(o.took_us())};
    for (const auto& s : o.stages())
      one.stages.push_back(
          {.name = s.name(), .offset = microseconds(s.offset_us()), .took = microseconds(s.took_us())});
    out.operations.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<Finding>> AdminClient::doctor() {
  admin::DoctorResponse response;
  TRY(call("/podshim.v1.Admin/Doctor", admin::DoctorRequest(), &response, kShort));
  std::vector<Finding> out;
  for (const auto& f : response.findings())
    out.push_back(
        {.level = static_cast<Finding::Level>(f.level()), .check = f.check(), .found = f.found(), .fix = f.fix()});
  return out;
}

}  // namespace podshim::cri
