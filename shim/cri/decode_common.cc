#include "shim/cri/decode_common.h"

#include <algorithm>

namespace podshim::cri {
namespace {

constexpr std::int64_t kMaxId = 0xfffffffeLL;
constexpr std::size_t kDnsLabelMax = 63;

Result<NamespaceMode> decode_mode(const std::string& field, v1::NamespaceMode mode) {
  switch (mode) {
    case v1::POD:
      return NamespaceMode::pod;
    case v1::CONTAINER:
      return NamespaceMode::container;
    case v1::NODE:
      return NamespaceMode::node;
    case v1::TARGET:
      return NamespaceMode::target;
    default:
      return fail(Error::invalid(field, std::to_string(static_cast<int>(mode)) + " is not a NamespaceMode"));
  }
}

Result<> check_user_namespace(const std::string& field, const v1::UserNamespace& options) {
  switch (options.mode()) {
    case v1::NODE:
      return {};
    case v1::POD:
      return fail(not_yet(field + ".mode", "POD: user namespaces are not supported yet; leave it out or NODE"));
    default:
      return fail(Error::invalid(
          field + ".mode", std::to_string(static_cast<int>(options.mode())) + " is neither POD (0) nor NODE (2)"));
  }
}

Result<> check_cpuset(const std::string& field, const std::string& value) {
  if (value.find_first_not_of("0123456789,-") != std::string::npos)
    return fail(bad_value(field, value, "is not a list of numbers and ranges"));
  return {};
}

Result<> check_unified(const std::string& field, const std::map<std::string, std::string>& files) {
  for (const auto& [name, value] : files) {
    const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                           std::string::npos &&
                       name.find('.') != std::string::npos && !name.starts_with('.');
    if (!plain) return fail(bad_value(field, name, "is not the name of a cgroup v2 file"));
    if (name.starts_with("cgroup.")) return fail(bad_value(field, name, "is not a file of a controller"));
    TRY(check_text(keyed(field, name), value));
  }
  return {};
}

}  // namespace

std::string indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

std::string keyed(std::string_view field, const std::string& key) { return std::string(field) + "[\"" + key + "\"]"; }

Error bad_value(const std::string& field, const std::string& value, std::string_view rule) {
  return Error::invalid(field, "\"" + value + "\" " + std::string(rule));
}

Error not_yet(const std::string& field, std::string why) {
  return Error::of(ErrorKind::unimplemented, "unsupported", field, std::move(why));
}

Result<> check_text(const std::string& field, const std::string& value) {
  if (value.find('\0') != std::string::npos) return fail(Error::invalid(field, "holds a NUL byte"));
  return {};
}

Result<> check_required(const std::string& field, const std::string& value) {
  if (value.empty()) return fail(Error::invalid(field, "is required"));
  return check_text(field, value);
}

Result<> check_absolute(const std::string& field, const std::string& value) {
  TRY(check_text(field, value));
  if (!value.starts_with('/')) return fail(bad_value(field, value, "is not an absolute path"));
  return {};
}

Result<> check_no_dotdot(const std::string& field, const std::string& value) {
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t end = std::min(value.find('/', at), value.size());
    if (value.compare(at, end - at, "..") == 0) return fail(bad_value(field, value, "has a component \"..\""));
    at = end + 1;
  }
  return {};
}

Result<> check_range(const std::string& field, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return fail(Error::invalid(
      field, std::to_string(value) + " is not within " + std::to_string(low) + ".." + std::to_string(high)));
}

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > kDnsLabelMax || text.front() == '-' || text.back() == '-') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

std::map<std::string, std::string> decode_map(const StringMap& map) { return {map.begin(), map.end()}; }

Result<NamespaceOptions> decode_namespaces(const std::string& field, const v1::NamespaceOption& options, bool sandbox) {
  NamespaceOptions out;
  out.network = TRY(decode_mode(field + ".network", options.network()));
  out.pid = TRY(decode_mode(field + ".pid", options.pid()));
  out.ipc = TRY(decode_mode(field + ".ipc", options.ipc()));
  if (out.network == NamespaceMode::target) return fail(Error::invalid(field + ".network", "TARGET is for pid alone"));
  if (out.network == NamespaceMode::container)
    return fail(Error::invalid(field + ".network", "CONTAINER: a network is the Pod's or the node's"));
  if (out.ipc == NamespaceMode::target) return fail(Error::invalid(field + ".ipc", "TARGET is for pid alone"));
  if (out.pid == NamespaceMode::target) {
    if (sandbox) return fail(Error::invalid(field + ".pid", "TARGET is for containers"));
    TRY(check_required(field + ".target_id", options.target_id()));
    out.target_id = options.target_id();
  }
  if (options.has_userns_options()) TRY(check_user_namespace(field + ".userns_options", options.userns_options()));
  return out;
}

Result<SeccompChoice> decode_seccomp(const std::string& field, const v1::SecurityProfile* profile,
                                     const std::string& deprecated_path) {
  using Type = SeccompChoice::Type;
  if (profile == nullptr) {
    // What clients of before the message sent; nothing at all is unconfined.
    constexpr std::string_view kLocalhost = "localhost/";
    if (deprecated_path.empty() || deprecated_path == "unconfined") return SeccompChoice{};
    if (deprecated_path == "runtime/default" || deprecated_path == "docker/default")
      return SeccompChoice{.type = Type::runtime_default};
    if (!deprecated_path.starts_with(kLocalhost))
      return fail(bad_value(field + "_profile_path", deprecated_path,
                            "is none of runtime/default, unconfined, localhost/PATH"));
    const std::string path = deprecated_path.substr(kLocalhost.size());
    TRY(check_absolute(field + "_profile_path", path));
    return SeccompChoice{.type = Type::localhost, .localhost_ref = path};
  }
  switch (profile->profile_type()) {
    case v1::SecurityProfile::RuntimeDefault:
      return SeccompChoice{.type = Type::runtime_default};
    case v1::SecurityProfile::Unconfined:
      return SeccompChoice{};
    case v1::SecurityProfile::Localhost:
      TRY(check_absolute(field + ".localhost_ref", profile->localhost_ref()));
      return SeccompChoice{.type = Type::localhost, .localhost_ref = profile->localhost_ref()};
    default:
      return fail(Error::invalid(field + ".profile_type",
                                 std::to_string(static_cast<int>(profile->profile_type())) + " is not a ProfileType"));
  }
}

Result<> check_apparmor(const std::string& field, const v1::SecurityProfile* profile,
                        const std::string& deprecated_name) {
  const bool localhost = profile != nullptr ? profile->profile_type() == v1::SecurityProfile::Localhost
                                            : deprecated_name.starts_with("localhost/");
  if (localhost)
    return fail(not_yet(field, "\"" + (profile != nullptr ? profile->localhost_ref() : deprecated_name) +
                                   "\": AppArmor profiles are not supported yet"));
  return {};
}

Result<Resources> decode_limits(const std::string& field, const v1::LinuxContainerResources& r) {
  constexpr std::int64_t kMax = INT64_MAX;
  if (r.cpu_period() != 0) TRY(check_range(field + ".cpu_period", r.cpu_period(), 1000, 1000000));
  if (r.cpu_quota() != 0 && r.cpu_quota() != -1) TRY(check_range(field + ".cpu_quota", r.cpu_quota(), 1000, kMax));
  TRY(check_range(field + ".cpu_shares", r.cpu_shares(), 0, 262144));
  TRY(check_range(field + ".memory_limit_in_bytes", r.memory_limit_in_bytes(), -1, kMax));
  TRY(check_range(field + ".memory_swap_limit_in_bytes", r.memory_swap_limit_in_bytes(), -1, kMax));
  if (r.memory_swap_limit_in_bytes() > 0 && r.memory_swap_limit_in_bytes() < r.memory_limit_in_bytes())
    return fail(Error::invalid(field + ".memory_swap_limit_in_bytes",
                               std::to_string(r.memory_swap_limit_in_bytes()) +
                                   " is memory and swap together and below memory_limit_in_bytes " +
                                   std::to_string(r.memory_limit_in_bytes())));
  TRY(check_range(field + ".oom_score_adj", r.oom_score_adj(), -1000, 1000));
  TRY(check_cpuset(field + ".cpuset_cpus", r.cpuset_cpus()));
  TRY(check_cpuset(field + ".cpuset_mems", r.cpuset_mems()));
  auto unified = decode_map(r.unified());
  TRY(check_unified(field + ".unified", unified));
  return Resources{.cpu_period_us = r.cpu_period(),
                   .cpu_quota_us = r.cpu_quota(),
                   .cpu_shares = r.cpu_shares(),
                   .memory_limit_bytes = r.memory_limit_in_bytes(),
                   .memory_swap_limit_bytes = r.memory_swap_limit_in_bytes(),
                   .oom_score_adj = r.oom_score_adj(),
                   .cpuset_cpus = r.cpuset_cpus(),
                   .cpuset_mems = r.cpuset_mems(),
                   .unified = std::move(unified)};
}

Result<Resources> decode_resources(const std::string& field, const v1::LinuxContainerResources& r) {
  Resources out = TRY(decode_limits(field, r));
  // -1 asks for no limit, which is what a new cgroup has
  out.memory_limit_bytes = std::max<std::int64_t>(out.memory_limit_bytes, 0);
  out.memory_swap_limit_bytes = std::max<std::int64_t>(out.memory_swap_limit_bytes, 0);
  return out;
}

Result<std::int64_t> decode_id(const std::string& field, std::int64_t value) {
  TRY(check_range(field, value, 0, kMaxId));
  return value;
}

std::string signal_name(v1::Signal value) {
  std::string name = v1::Signal_Name(value);
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>{"_", ""}, {"PLUS", "+"}, {"MINUS", "-"}})
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

v1::Signal signal_of(const std::string& name) {
  if (name.empty()) return v1::RUNTIME_DEFAULT;
  for (int value = v1::Signal_MIN; value <= v1::Signal_MAX; value++)
    if (signal_name(static_cast<v1::Signal>(value)) == name) return static_cast<v1::Signal>(value);
  return v1::RUNTIME_DEFAULT;
}

}  // namespace podshim::cri
