#include <algorithm>
#include <set>

#include "common/kube/choice.h"
#include "common/kube/pod.h"

namespace podshim::kube {
namespace {

constexpr Choice<PullPolicy> kPullPolicies[] = {
    {"IfNotPresent", PullPolicy::if_not_present}, {"Always", PullPolicy::always}, {"Never", PullPolicy::never}};
constexpr Choice<VolumeMount::Propagation> kPropagations[] = {
    {"None", VolumeMount::Propagation::none},
    {"HostToContainer", VolumeMount::Propagation::host_to_container},
    {"Bidirectional", VolumeMount::Propagation::bidirectional}};

// Printable ASCII but "=" (Kubernetes since 1.30).
bool is_env_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f && c != '='; });
}

Result<ContainerPort> decode_port(const json::Reader& r, Unknowns& unknowns) {
  ContainerPort out;
  out.name = TRY(r.string_or("name", ""));
  if (!out.name.empty() && !is_port_name(out.name))
    return fail(r.error("name", "\"" + out.name + "\" is not a port name: at most 15 of a-z 0-9 -, with a letter"));
  out.protocol = TRY(decode_protocol(r));
  out.container_port = static_cast<int>(TRY(r.integer("containerPort", 1, 65535)));
  out.host_port = static_cast<int>(TRY(r.integer_or("hostPort", 0, 0, 65535)));
  out.host_ip = TRY(r.string_or("hostIP", ""));
  if (!out.host_ip.empty() && !IpAddress::parse(out.host_ip))
    return fail(r.error("hostIP", "\"" + out.host_ip + "\" is not an IP address"));
  note_unknown(r, unknowns);
  return out;
}

Result<KeyRef> decode_key_ref(const json::Reader& r, Unknowns& unknowns) {
  KeyRef out{
      .name = TRY(r.string("name")), .key = TRY(r.string("key")), .optional = TRY(r.boolean_or("optional", false))};
  note_unknown(r, unknowns);
  return out;
}

// The fields that env can show; labels['x'] and annotations['x'] too.
bool is_field_path(std::string_view path) {
  for (const char* known :
       {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"})
    if (path == known) return true;
  return (path.starts_with("metadata.labels['") || path.starts_with("metadata.annotations['")) && path.ends_with("']");
}

Result<> decode_env_source(const json::Reader& r, EnvVar& out, Unknowns& unknowns) {
  int sources = 0;
  if (auto field = TRY(r.opt_object("fieldRef"))) {
    out.from = EnvVar::From::field;
    out.value = TRY(field->string("fieldPath"));
    if (!is_field_path(out.value))
      return fail(field->error("fieldPath", "\"" + out.value + "\" is not a field env can show"));
    field->ignore("apiVersion");
    note_unknown(*field, unknowns);
    sources++;
  }
  if (auto resource = TRY(r.opt_object("resourceFieldRef"))) {
    out.from = EnvVar::From::resource;
    out.value = TRY(resource->string("resource"));
    if (out.value != "limits.cpu" && out.value != "limits.memory" && out.value != "requests.cpu" &&
        out.value != "requests.memory")
      return fail(resource->error(
          "resource", "\"" + out.value + "\" is none of limits.cpu, limits.memory, requests.cpu, requests.memory"));
    out.container = TRY(resource->string_or("containerName", ""));
    if (const auto* divisor = resource->get("divisor")) {
      auto q = Quantity::from(*divisor);
      if (!q) return fail(resource->error("divisor", q.error().detail));
      out.divisor = *q;
    }
    note_unknown(*resource, unknowns);
    sources++;
  }
  for (bool secret : {false, true}) {
    auto ref = TRY(r.opt_object(secret ? "secretKeyRef" : "configMapKeyRef"));
    if (!ref) continue;
    out.from = secret ? EnvVar::From::secret : EnvVar::From::config_map;
    out.key = TRY(decode_key_ref(*ref, unknowns));
    sources++;
  }
  if (sources != 1) return fail(r.error("", "needs one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef"));
  note_unknown(r, unknowns);
  return {};
}

Result<EnvVar> decode_env(const json::Reader& r, Unknowns& unknowns) {
  EnvVar out;
  out.name = TRY(r.string("name"));
  if (!is_env_name(out.name))
    return fail(r.error("name", "\"" + out.name + "\" is not the name of an environment variable"));
  out.value = TRY(r.string_or("value", ""));
  if (auto from = TRY(r.opt_object("valueFrom"))) {
    if (!out.value.empty()) return fail(r.error("valueFrom", "stands beside value"));
    TRY(decode_env_source(*from, out, unknowns));
  }
  note_unknown(r, unknowns);
  return out;
}

Result<EnvFrom> decode_env_from(const json::Reader& r, Unknowns& unknowns) {
  EnvFrom out;
  out.prefix = TRY(r.string_or("prefix", ""));
  auto map = TRY(r.opt_object("configMapRef"));
  auto secret = TRY(r.opt_object("secretRef"));
  if (map.has_value() == secret.has_value()) return fail(r.error("", "needs one of configMapRef, secretRef"));
  out.secret = secret.has_value();
  const auto& ref = out.secret ? *secret : *map;
  out.name = TRY(ref.string("name"));
  out.optional = TRY(ref.boolean_or("optional", false));
  note_unknown(ref, unknowns);
  note_unknown(r, unknowns);
  return out;
}

Result<VolumeMount> decode_mount(const json::Reader& r, Unknowns& unknowns) {
  VolumeMount out;
  out.name = TRY(r.string("name"));
  out.mount_path = TRY(r.string("mountPath"));
  if (out.mount_path.empty()) return fail(r.error("mountPath", "is empty"));
  if (!out.mount_path.starts_with('/')) out.mount_path.insert(0, "/");  // relative to the root, as the kubelet takes it
  out.sub_path = TRY(r.string_or("subPath", ""));
  if (out.sub_path.starts_with('/') || ("/" + out.sub_path + "/").find("/../") != std::string::npos)
    return fail(r.error("subPath", "\"" + out.sub_path + "\" is not a relative path without \"..\""));
  if (r.get("subPathExpr") != nullptr) return fail(r.error("subPathExpr", "is not supported; use subPath"));
  out.read_only = TRY(r.boolean_or("readOnly", false));
  out.propagation = TRY(choose(r, "mountPropagation", kPropagations));
  note_unknown(r, unknowns);
  return out;
}

Result<std::optional<Quantity>> decode_amount(const json::Reader& r, const char* name) {
  const auto* value = r.get(name);
  if (value == nullptr) return std::nullopt;
  auto q = Quantity::from(*value);
  if (!q) return fail(r.error(name, q.error().detail));
  if (q->is_negative()) return fail(r.error(name, json::dump(*value) + " is negative"));
  return *q;
}

Result<Resources> decode_resources(const json::Reader& r, Unknowns& unknowns) {
  Resources out;
  if (auto limits = TRY(r.opt_object("limits"))) {
    out.cpu_limit = TRY(decode_amount(*limits, "cpu"));
    out.memory_limit = TRY(decode_amount(*limits, "memory"));
    note_unknown(*limits, unknowns);
  }
  if (auto requests = TRY(r.opt_object("requests"))) {
    out.cpu_request = TRY(decode_amount(*requests, "cpu"));
    out.memory_request = TRY(decode_amount(*requests, "memory"));
    note_unknown(*requests, unknowns);
  }
  if (!out.cpu_request) out.cpu_request = out.cpu_limit;
  if (!out.memory_request) out.memory_request = out.memory_limit;
  if (out.cpu_limit && *out.cpu_request > *out.cpu_limit) return fail(r.error("requests", "cpu is above its limit"));
  if (out.memory_limit && *out.memory_request > *out.memory_limit)
    return fail(r.error("requests", "memory is above its limit"));
  note_unknown(r, unknowns);
  return out;
}

Result<> decode_probes(const json::Reader& r, Container& c, Unknowns& unknowns) {
  if (auto p = TRY(r.opt_object("readinessProbe"))) c.readiness = TRY(decode_probe(*p, ProbeKind::readiness, unknowns));
  if (auto p = TRY(r.opt_object("livenessProbe"))) c.liveness = TRY(decode_probe(*p, ProbeKind::liveness, unknowns));
  if (auto p = TRY(r.opt_object("startupProbe"))) c.startup = TRY(decode_probe(*p, ProbeKind::startup, unknowns));
  if (auto lifecycle = TRY(r.opt_object("lifecycle"))) {
    if (auto h = TRY(lifecycle->opt_object("postStart"))) c.post_start = TRY(decode_lifecycle_handler(*h, unknowns));
    if (auto h = TRY(lifecycle->opt_object("preStop"))) c.pre_stop = TRY(decode_lifecycle_handler(*h, unknowns));
    note_unknown(*lifecycle, unknowns);
  }
  return {};
}

Result<> decode_lists(const json::Reader& r, Container& c, Unknowns& unknowns) {
  std::set<std::string> names, paths;
  for (const auto& one : TRY(r.objects("ports"))) {
    c.ports.push_back(TRY(decode_port(one, unknowns)));
    const auto& name = c.ports.back().name;
    if (!name.empty() && !names.insert(name).second) return fail(one.error("name", "\"" + name + "\" is there twice"));
  }
  for (const auto& one : TRY(r.objects("env"))) c.env.push_back(TRY(decode_env(one, unknowns)));
  for (const auto& one : TRY(r.objects("envFrom"))) c.env_from.push_back(TRY(decode_env_from(one, unknowns)));
  for (const auto& one : TRY(r.objects("volumeMounts"))) {
    c.mounts.push_back(TRY(decode_mount(one, unknowns)));
    const auto& path = c.mounts.back().mount_path;
    if (!paths.insert(path).second) return fail(one.error("mountPath", "\"" + path + "\" is there twice"));
  }
  return {};
}

}  // namespace

PullPolicy default_pull_policy(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return PullPolicy::if_not_present;
  auto slash = image.rfind('/');
  auto colon = image.find(':', slash == std::string_view::npos ? 0 : slash);
  bool latest = colon == std::string_view::npos || image.substr(colon + 1) == "latest";
  return latest ? PullPolicy::always : PullPolicy::if_not_present;
}

Result<Container> decode_container(const json::Reader& r, Unknowns& unknowns) {
  Container c;
  c.name = TRY(r.string("name"));
  if (!is_dns_label(c.name)) return fail(r.error("name", "\"" + c.name + "\" is not a DNS label"));
  c.image = TRY(r.string("image"));
  if (c.image.empty() || c.image.find_first_of(" \t\n") != std::string::npos)
    return fail(r.error("image", "\"" + c.image + "\" is not an image reference"));
  c.pull_policy =
      r.has("imagePullPolicy") ? TRY(choose(r, "imagePullPolicy", kPullPolicies)) : default_pull_policy(c.image);
  r.ignore("imagePullPolicy");
  c.command = TRY(r.strings("command"));
  c.args = TRY(r.strings("args"));
  c.working_dir = TRY(r.string_or("workingDir", ""));
  TRY(decode_lists(r, c, unknowns));
  if (auto resources = TRY(r.opt_object("resources"))) c.resources = TRY(decode_resources(*resources, unknowns));
  if (auto security = TRY(r.opt_object("securityContext")))
    c.security = TRY(decode_security(*security, false, unknowns));
  TRY(decode_probes(r, c, unknowns));
  if (auto policy = TRY(r.opt_string("restartPolicy"))) {
    if (*policy != "Always")
      return fail(r.error("restartPolicy", "\"" + *policy + "\": a container's can only be Always"));
    c.restart_always = true;
  }
  c.stdin_open = TRY(r.boolean_or("stdin", false));
  c.stdin_once = TRY(r.boolean_or("stdinOnce", false));
  c.tty = TRY(r.boolean_or("tty", false));
  note_unknown(r, unknowns);
  return c;
}

}  // namespace podshim::kube
