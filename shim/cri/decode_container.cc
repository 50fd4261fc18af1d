#include <algorithm>

#include "shim/cri/decode.h"
#include "shim/cri/decode_common.h"

namespace podshim::cri {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

Result<std::vector<std::string>> decode_argv(const char* field, const Strings& words) {
  for (int i = 0; i < words.size(); i++) TRY(check_text(indexed(field, i), words[i]));
  return std::vector<std::string>(words.begin(), words.end());
}

Result<std::vector<std::string>> decode_paths(const std::string& field, const Strings& paths) {
  for (int i = 0; i < paths.size(); i++) TRY(check_absolute(indexed(field, i), paths[i]));
  return std::vector<std::string>(paths.begin(), paths.end());
}

Result<std::vector<std::pair<std::string, std::string>>> decode_envs(const v1::ContainerConfig& config) {
  std::vector<std::pair<std::string, std::string>> out;
  for (int i = 0; i < config.envs_size(); i++) {
    const auto& env = config.envs(i);
    const std::string field = indexed("config.envs", i);
    TRY(check_required(field + ".key", env.key()));
    if (env.key().find('=') != std::string::npos) return fail(bad_value(field + ".key", env.key(), "holds \"=\""));
    TRY(check_text(field + ".value", env.value()));
    out.emplace_back(env.key(), env.value());
  }
  return out;
}

Result<Mount::Propagation> decode_propagation(const std::string& field, v1::MountPropagation propagation) {
  switch (propagation) {
    case v1::PROPAGATION_PRIVATE:
      return Mount::Propagation::private_;
    case v1::PROPAGATION_HOST_TO_CONTAINER:
      return Mount::Propagation::host_to_container;
    case v1::PROPAGATION_BIDIRECTIONAL:
      return Mount::Propagation::bidirectional;
    default:
      return fail(Error::invalid(field, std::to_string(static_cast<int>(propagation)) + " is not a MountPropagation"));
  }
}

// An image is data that others share: nobody writes to it, and nothing is mounted below it.
Result<> check_image_volume(const std::string& field, const v1::Mount& mount) {
  if (!mount.host_path().empty())
    return fail(bad_value(field + ".host_path", mount.host_path(), "beside an image; a mount has one source"));
  if (!mount.readonly()) return fail(Error::invalid(field + ".readonly", "false for an image, which is read-only"));
  if (mount.propagation() != v1::PROPAGATION_PRIVATE)
    return fail(Error::invalid(field + ".propagation", v1::MountPropagation_Name(mount.propagation()) +
                                                           " for an image, which has no submounts"));
  return check_text(field + ".image_sub_path", mount.image_sub_path());
}

Result<> check_mount_source(const std::string& field, const v1::Mount& mount) {
  if (mount.has_image() && !mount.image().image().empty()) return check_image_volume(field, mount);
  if (!mount.image_sub_path().empty())
    return fail(bad_value(field + ".image_sub_path", mount.image_sub_path(), "without an image"));
  if (mount.uidmappings_size() != 0 || mount.gidmappings_size() != 0)
    return fail(not_yet(field + ".uidMappings", "id-mapped mounts are not supported yet"));
  const auto& host = mount.host_path();
  if (!host.starts_with(kVolumePrefix)) return check_absolute(field + ".host_path", host);
  if (!is_dns_label(host.substr(std::string_view(kVolumePrefix).size())))
    return fail(bad_value(field + ".host_path", host, "does not name a shared volume (volume:NAME, NAME a DNS label)"));
  return {};
}

Result<Mount> decode_mount(const std::string& field, const v1::Mount& mount) {
  TRY(check_absolute(field + ".container_path", mount.container_path()));
  TRY(check_mount_source(field, mount));
  const auto propagation = TRY(decode_propagation(field + ".propagation", mount.propagation()));
  if (mount.recursive_read_only()) {
    if (!mount.readonly()) return fail(Error::invalid(field + ".recursive_read_only", "true, while readonly is false"));
    if (propagation != Mount::Propagation::private_)
      return fail(Error::invalid(field + ".recursive_read_only", "true, while propagation is not PROPAGATION_PRIVATE"));
  }
  return Mount{.container_path = mount.container_path(),
               .host_path = mount.host_path(),
               .image = mount.image().image(),
               .user_specified_image = mount.image().user_specified_image(),
               .image_sub_path = mount.image_sub_path(),
               .readonly = mount.readonly(),
               .recursive_readonly = mount.recursive_read_only(),
               .selinux_relabel = mount.selinux_relabel(),
               .propagation = propagation};
}

Result<Device> decode_device(const std::string& field, const v1::Device& device) {
  TRY(check_absolute(field + ".host_path", device.host_path()));
  const std::string inside = device.container_path().empty() ? device.host_path() : device.container_path();
  TRY(check_absolute(field + ".container_path", inside));
  const std::string permissions = device.permissions().empty() ? "rwm" : device.permissions();
  if (permissions.find_first_not_of("rwm") != std::string::npos)
    return fail(bad_value(field + ".permissions", permissions, "is not made of r, w and m"));
  return Device{.container_path = inside, .host_path = device.host_path(), .permissions = permissions};
}

Result<Capabilities> decode_capabilities(const std::string& field, const v1::Capability& capabilities) {
  if (capabilities.add_ambient_capabilities_size() != 0)
    return fail(not_yet(field + ".add_ambient_capabilities", "ambient capabilities are not supported yet"));
  return Capabilities{.add = {capabilities.add_capabilities().begin(), capabilities.add_capabilities().end()},
                      .drop = {capabilities.drop_capabilities().begin(), capabilities.drop_capabilities().end()}};
}

Result<> decode_user(const std::string& field, const v1::LinuxContainerSecurityContext& s, SecurityContext* out) {
  if (s.has_run_as_user()) out->run_as_user = TRY(decode_id(field + ".run_as_user", s.run_as_user().value()));
  TRY(check_text(field + ".run_as_username", s.run_as_username()));
  out->run_as_username = s.run_as_username();
  if (s.has_run_as_group()) {
    if (!s.has_run_as_user() && s.run_as_username().empty())
      return fail(Error::invalid(field + ".run_as_group",
                                 std::to_string(s.run_as_group().value()) + " without run_as_user or run_as_username"));
    out->run_as_group = TRY(decode_id(field + ".run_as_group", s.run_as_group().value()));
  }
  for (int i = 0; i < s.supplemental_groups_size(); i++)
    out->supplemental_groups.push_back(
        TRY(decode_id(indexed(field + ".supplemental_groups", i), s.supplemental_groups(i))));
  switch (s.supplemental_groups_policy()) {
    case v1::Merge:
      break;
    case v1::Strict:
      out->strict_groups = true;
      break;
    default:
      return fail(Error::invalid(
          field + ".supplemental_groups_policy",
          std::to_string(static_cast<int>(s.supplemental_groups_policy())) + " is neither Merge (0) nor Strict (1)"));
  }
  return {};
}

Result<SecurityContext> decode_security(const v1::LinuxContainerSecurityContext& s) {
  const std::string field = "config.linux.security_context";
  SecurityContext out;
  out.capabilities = TRY(decode_capabilities(field + ".capabilities", s.capabilities()));
  out.privileged = s.privileged();
  out.namespaces = TRY(decode_namespaces(field + ".namespace_options", s.namespace_options(), false));
  TRY(decode_user(field, s, &out));
  out.readonly_rootfs = s.readonly_rootfs();
  out.no_new_privs = s.no_new_privs();
  out.masked_paths = TRY(decode_paths(field + ".masked_paths", s.masked_paths()));
  out.readonly_paths = TRY(decode_paths(field + ".readonly_paths", s.readonly_paths()));
  out.seccomp =
      TRY(decode_seccomp(field + ".seccomp", s.has_seccomp() ? &s.seccomp() : nullptr, s.seccomp_profile_path()));
  TRY(check_apparmor(field + ".apparmor", s.has_apparmor() ? &s.apparmor() : nullptr, s.apparmor_profile()));
  return out;
}

Result<> check_supported(const v1::ContainerConfig& config) {
  if (config.cdi_devices_size() != 0)
    return fail(
        not_yet("config.CDI_devices", "\"" + config.cdi_devices(0).name() + "\": CDI devices are not supported yet"));
  return {};
}

Result<std::string> decode_signal(v1::Signal value) {
  if (value == v1::RUNTIME_DEFAULT) return std::string();
  if (!v1::Signal_IsValid(value))
    return fail(Error::invalid("config.stop_signal", std::to_string(static_cast<int>(value)) + " is no Signal"));
  return signal_name(value);
}

Result<> decode_process(const v1::ContainerConfig& config, ContainerSpec* out) {
  out->command = TRY(decode_argv("config.command", config.command()));
  out->args = TRY(decode_argv("config.args", config.args()));
  if (!config.working_dir().empty()) TRY(check_absolute("config.working_dir", config.working_dir()));
  out->working_dir = config.working_dir();
  out->envs = TRY(decode_envs(config));
  TRY(check_text("config.log_path", config.log_path()));
  if (config.log_path().starts_with('/'))
    return fail(bad_value("config.log_path", config.log_path(), "is not relative to the sandbox's log_directory"));
  TRY(check_no_dotdot("config.log_path", config.log_path()));
  out->log_path = config.log_path();
  out->stdin_open = config.stdin();
  out->stdin_once = config.stdin_once();
  out->stop_signal = TRY(decode_signal(config.stop_signal()));
  out->tty = config.tty();
  return {};
}

}  // namespace

Result<ContainerSpec> decode_container(const v1::CreateContainerRequest& request) {
  if (!request.has_config()) return fail(Error::invalid("config", "is required"));
  const auto& config = request.config();
  if (!config.has_metadata()) return fail(Error::invalid("config.metadata", "is required"));
  TRY(check_required("config.metadata.name", config.metadata().name()));
  TRY(check_required("config.image.image", config.image().image()));
  TRY(check_supported(config));
  ContainerSpec out;
  out.metadata = {.name = config.metadata().name(), .attempt = config.metadata().attempt()};
  out.image = config.image().image();
  out.user_specified_image = config.image().user_specified_image();
  TRY(decode_process(config, &out));
  for (int i = 0; i < config.mounts_size(); i++)
    out.mounts.push_back(TRY(decode_mount(indexed("config.mounts", i), config.mounts(i))));
  for (int i = 0; i < config.devices_size(); i++)
    out.devices.push_back(TRY(decode_device(indexed("config.devices", i), config.devices(i))));
  out.labels = decode_map(config.labels());
  out.annotations = decode_map(config.annotations());
  if (config.linux().has_resources())
    out.resources = TRY(decode_resources("config.linux.resources", config.linux().resources()));
  out.security = TRY(decode_security(config.linux().security_context()));
  return out;
}

Result<std::vector<std::string>> decode_command(const v1::ExecSyncRequest& request) {
  if (request.cmd_size() == 0) return fail(Error::invalid("cmd", "is required"));
  TRY(check_required("cmd[0]", request.cmd(0)));
  return decode_argv("cmd", request.cmd());
}

}  // namespace podshim::cri
