#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

constexpr std::string_view kStatusMethod = "/podshim.v1.Admin/Status";  // the call that asks

void add_condition(const char* type, const Condition& condition, admin::StatusResponse* out) {
  auto* entry = out->add_conditions();
  entry->set_type(type);
  entry->set_ok(condition.ok);
  entry->set_reason(utf8(condition.reason));
  entry->set_message(utf8(condition.message));
}

void add_counts(const Snapshot& snapshot, admin::StatusResponse* out) {
  std::uint32_t ready = 0, running = 0;
  for (const auto& view : snapshot.sandboxes) ready += view->state == SandboxState::ready;
  for (const auto& view : snapshot.containers) running += view->state == ContainerState::running;
  out->set_sandboxes_ready(ready);
  out->set_sandboxes_not_ready(static_cast<std::uint32_t>(snapshot.sandboxes.size()) - ready);
  out->set_containers_running(running);
  out->set_containers_other(static_cast<std::uint32_t>(snapshot.containers.size()) - running);
}

}  // namespace

Result<admin::ImportImagesResponse> import_images(Border& border, const admin::ImportImagesRequest& request) {
  if (request.paths().empty()) return fail(Error::invalid("paths", "is required"));
  for (const auto& path : request.paths())
    if (!path.starts_with('/')) return fail(Error::invalid("paths", "\"" + path + "\" is not an absolute path"));
  admin::ImportImagesResponse out;
  for (const auto& path : request.paths()) {
    for (const auto& image : TRY_IN(border.runtime.images().import(path), "import " + path)) {
      auto* entry = out.add_images();
      entry->set_id(image.id);
      for (const auto& tag : image.repo_tags) entry->add_repo_tags(utf8(tag));
      entry->set_size_bytes(image.size_bytes);
      entry->set_path(path);
    }
  }
  return out;
}

Result<admin::StatusResponse> admin_status(Border& border, const admin::StatusRequest&) {
  const RuntimeStatus now = border.runtime.status();
  admin::StatusResponse out;
  out.set_version(kRuntimeVersion);
  out.set_started_at_ns(border.started_at_ns);
  add_condition("RuntimeReady", now.runtime, &out);
  add_condition("NetworkReady", now.network, &out);
  for (const auto& text : now.quarantined) out.add_quarantined(utf8(text));
  for (const auto& text : now.warnings) out.add_warnings(utf8(text));
  add_counts(*border.runtime.snapshot(), &out);
  out.set_images(static_cast<std::uint32_t>(border.runtime.images().list().size()));
  out.set_requests_served(border.activity.served());
  for (const auto& call : border.activity.running()) {
    if (call.name == kStatusMethod) continue;
    auto* entry = out.add_running();
    entry->set_name(std::string(call.name));
    entry->set_age_ms(static_cast<std::uint64_t>(call.age.count()));
  }
  return out;
}

Result<admin::DoctorResponse> admin_doctor(Border& border, const admin::DoctorRequest&) {
  admin::DoctorResponse out;
  for (const auto& finding : border.doctor()) {
    auto* entry = out.add_findings();
    entry->set_level(static_cast<admin::Finding::Level>(finding.level));
    entry->set_check(finding.check);
    entry->set_found(utf8(finding.found));
    entry->set_fix(utf8(finding.fix));
  }
  return out;
}

}  // namespace podshim::cri
