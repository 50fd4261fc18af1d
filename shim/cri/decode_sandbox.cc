#include <algorithm>

#include "shim/cri/decode.h"
#include "shim/cri/decode_common.h"

namespace podshim::cri {
namespace {

constexpr std::size_t kHostnameMax = 64;  // sethostname(2)
constexpr std::string_view kNameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

Result<Metadata> decode_metadata(const v1::PodSandboxConfig& config) {
  if (!config.has_metadata()) return fail(Error::invalid("config.metadata", "is required"));
  const auto& m = config.metadata();
  TRY(check_required("config.metadata.name", m.name()));
  TRY(check_required("config.metadata.uid", m.uid()));
  TRY(check_required("config.metadata.namespace", m.namespace_()));
  return Metadata{.name = m.name(), .uid = m.uid(), .name_space = m.namespace_(), .attempt = m.attempt()};
}

// Each of these ends up as a word on a line of resolv.conf.
Result<std::vector<std::string>> decode_words(const char* field,
                                              const google::protobuf::RepeatedPtrField<std::string>& words) {
  for (int i = 0; i < words.size(); i++) {
    const auto& word = words[i];
    const bool plain = std::all_of(word.begin(), word.end(), [](unsigned char c) { return c > ' ' && c != 0x7f; });
    if (word.empty() || !plain) return fail(bad_value(indexed(field, i), word, "is not one printable word"));
  }
  return std::vector<std::string>(words.begin(), words.end());
}

Result<std::optional<DnsConfig>> decode_dns(const v1::PodSandboxConfig& config) {
  const auto& dns = config.dns_config();
  if (dns.servers().empty() && dns.searches().empty() && dns.options().empty()) return std::nullopt;
  DnsConfig out;
  out.servers = TRY(decode_words("config.dns_config.servers", dns.servers()));
  for (int i = 0; i < dns.servers_size(); i++) {
    const auto& server = dns.servers(i);
    if (!IpAddress::parse(server.substr(0, server.find('%'))))  // fe80::1%eth0 has a zone
      return fail(bad_value(indexed("config.dns_config.servers", i), server, "is not an IP address"));
  }
  out.searches = TRY(decode_words("config.dns_config.searches", dns.searches()));
  out.options = TRY(decode_words("config.dns_config.options", dns.options()));
  return out;
}

Result<PortMapping> decode_port(const std::string& field, const v1::PortMapping& port) {
  PortMapping out;
  switch (port.protocol()) {
    case v1::TCP:
      out.protocol = PortMapping::Protocol::tcp;
      break;
    case v1::UDP:
      out.protocol = PortMapping::Protocol::udp;
      break;
    case v1::SCTP:
      out.protocol = PortMapping::Protocol::sctp;
      break;
    default:
      return fail(Error::invalid(field + ".protocol", std::to_string(static_cast<int>(port.protocol())) +
                                                          " is none of TCP (0), UDP (1), SCTP (2)"));
  }
  TRY(check_range(field + ".container_port", port.container_port(), 0, 65535));
  TRY(check_range(field + ".host_port", port.host_port(), 0, 65535));
  if (port.host_port() != 0 && port.container_port() == 0)
    return fail(Error::invalid(field + ".container_port", "0, while host_port is " + std::to_string(port.host_port())));
  if (!port.host_ip().empty() && !IpAddress::parse(port.host_ip()))
    return fail(bad_value(field + ".host_ip", port.host_ip(), "is not an IP address"));
  out.container_port = port.container_port();
  out.host_port = port.host_port();
  out.host_ip = port.host_ip();
  return out;
}

Result<std::vector<PortMapping>> decode_ports(const v1::PodSandboxConfig& config) {
  std::vector<PortMapping> out;
  for (int i = 0; i < config.port_mappings_size(); i++)
    out.push_back(TRY(decode_port(indexed("config.port_mappings", i), config.port_mappings(i))));
  return out;
}

Result<> check_hostname(const std::string& name) {
  if (name.empty()) return {};
  const auto bad = std::find_if(name.begin(), name.end(), [](char c) {
    return kNameChars.find(c) == std::string_view::npos && c != '.' && c != '-' && c != '_';
  });
  if (name.size() > kHostnameMax || bad != name.end())
    return fail(
        bad_value("config.hostname", name, "is not a host name of at most 64 letters, digits, \".\", \"-\" and \"_\""));
  return {};
}

Result<> check_sysctls(const StringMap& sysctls) {
  for (const auto& [name, value] : sysctls) {
    const std::string field = keyed("config.linux.sysctls", name);
    const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return kNameChars.find(c) != std::string_view::npos || std::string_view("._-/").find(c) != std::string_view::npos;
    });
    if (!plain || name.find("..") != std::string::npos || name.front() == '/' || name.front() == '.')
      return fail(bad_value("config.linux.sysctls", name, "is not the name of a sysctl"));
    TRY(check_text(field, value));
  }
  return {};
}

Result<> decode_security(const v1::LinuxPodSandboxConfig& linux, SandboxSpec* out) {
  const std::string field = "config.linux.security_context";
  const auto& s = linux.security_context();
  out->namespaces = TRY(decode_namespaces(field + ".namespace_options", s.namespace_options(), true));
  out->privileged = s.privileged();
  out->seccomp =
      TRY(decode_seccomp(field + ".seccomp", s.has_seccomp() ? &s.seccomp() : nullptr, s.seccomp_profile_path()));
  TRY(check_apparmor(field + ".apparmor", s.has_apparmor() ? &s.apparmor() : nullptr, ""));
  if (s.has_run_as_group() && !s.has_run_as_user())
    return fail(
        Error::invalid(field + ".run_as_group", std::to_string(s.run_as_group().value()) + " without run_as_user"));
  return {};
}

Result<> decode_linux(const v1::LinuxPodSandboxConfig& linux, SandboxSpec* out) {
  if (!linux.cgroup_parent().empty()) {
    TRY(check_absolute("config.linux.cgroup_parent", linux.cgroup_parent()));
    TRY(check_no_dotdot("config.linux.cgroup_parent", linux.cgroup_parent()));
  }
  out->cgroup_parent = linux.cgroup_parent();
  TRY(decode_security(linux, out));
  TRY(check_sysctls(linux.sysctls()));
  out->sysctls = decode_map(linux.sysctls());
  if (linux.has_resources()) out->resources = TRY(decode_resources("config.linux.resources", linux.resources()));
  if (linux.has_overhead()) out->overhead = TRY(decode_resources("config.linux.overhead", linux.overhead()));
  return {};
}

}  // namespace

Result<std::vector<std::string>> decode_shared_volumes(const std::string& annotation) {
  const std::string field = keyed("config.annotations", kVolumesAnnotation);
  std::vector<std::string> out;
  if (annotation.find_first_not_of(' ') == std::string::npos) return out;
  for (std::size_t at = 0; at <= annotation.size();) {
    const std::size_t end = std::min(annotation.find(',', at), annotation.size());
    std::string name = annotation.substr(at, end - at);
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (!is_dns_label(name)) return fail(bad_value(field, name, "is not a DNS label (a-z, 0-9, \"-\"; at most 63)"));
    if (std::find(out.begin(), out.end(), name) != out.end()) return fail(bad_value(field, name, "is there twice"));
    out.push_back(std::move(name));
    at = end + 1;
  }
  return out;
}

Result<SandboxSpec> decode_sandbox(const v1::RunPodSandboxRequest& request) {
  if (!request.has_config()) return fail(Error::invalid("config", "is required"));
  if (!request.runtime_handler().empty())
    return fail(bad_value("runtime_handler", request.runtime_handler(), "is not configured; the one handler is \"\""));
  const auto& config = request.config();
  SandboxSpec out;
  out.metadata = TRY(decode_metadata(config));
  TRY(check_hostname(config.hostname()));
  out.hostname = config.hostname();
  if (!config.log_directory().empty()) TRY(check_absolute("config.log_directory", config.log_directory()));
  out.log_directory = config.log_directory();
  out.dns = TRY(decode_dns(config));
  out.ports = TRY(decode_ports(config));
  out.labels = decode_map(config.labels());
  out.annotations = decode_map(config.annotations());
  out.runtime_handler = request.runtime_handler();
  TRY(decode_linux(config.linux(), &out));
  if (auto it = out.annotations.find(kVolumesAnnotation); it != out.annotations.end())
    out.shared_volumes = TRY(decode_shared_volumes(it->second));
  return out;
}

}  // namespace podshim::cri
