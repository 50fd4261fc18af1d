#include <algorithm>
#include <cctype>

#include "podlet/pod_config.h"

namespace podshim::podlet {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string map_key(bool secret, const std::string& name_space, const std::string& name) {
  return std::string(secret ? "Secret/" : "ConfigMap/") + name_space + "/" + name;
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& item : list) out += (out.empty() ? "" : ",") + item;
  return out;
}

// "metadata.labels['app']" -> app
std::string_view subscript(std::string_view path) {
  auto open = path.find("['");
  return path.substr(open + 2, path.size() - open - 4);
}

std::string field_value(const ContainerInput& in, const std::string& path) {
  const auto& meta = in.record.pod.meta;
  auto first = [](const auto& list) { return list.empty() ? std::string() : list.front(); };
  auto lookup = [&](const auto& map) {
    auto found = map.find(std::string(subscript(path)));
    return found == map.end() ? std::string() : found->second;
  };
  if (path == "metadata.name") return meta.name;
  if (path == "metadata.namespace") return meta.name_space;
  if (path == "metadata.uid") return in.record.uid;
  if (path == "spec.nodeName") return in.node.node_name;
  if (path == "spec.serviceAccountName") return "default";
  if (path == "status.hostIP") return first(in.node.node_ips);
  if (path == "status.hostIPs") return joined(in.node.node_ips);
  if (path == "status.podIP") return first(in.pod_ips);
  if (path == "status.podIPs") return joined(in.pod_ips);
  if (path.starts_with("metadata.labels[")) return lookup(meta.labels);
  return lookup(meta.annotations);
}

Result<std::string> resource_value(const ContainerInput& in, const kube::EnvVar& e) {
  const auto* c = e.container.empty() ? &in.container : in.record.pod.spec.find(e.container);
  if (c == nullptr) return fail(Error::of(ErrorKind::not_found, "env", e.name, "no container " + e.container));
  bool cpu = e.value.ends_with(".cpu"), limit = e.value.starts_with("limits.");
  const auto& r = c->resources;
  auto q = cpu ? (limit ? r.cpu_limit : r.cpu_request) : (limit ? r.memory_limit : r.memory_request);
  // Without a limit the node's capacity stands in (Kubernetes: resourceFieldRef).
  if (!q && limit && !cpu) q = kube::Quantity::of_whole(in.node.memory_capacity);
  if (!q) q = kube::Quantity();
  auto divisor = e.divisor == kube::Quantity() ? kube::Quantity::of_whole(1) : e.divisor;
  std::int64_t unit = divisor.milli() == 0 ? 1 : divisor.milli();
  if (!cpu)
    return std::to_string((q->whole() + std::max<std::int64_t>(divisor.whole(), 1) - 1) /
                          std::max<std::int64_t>(divisor.whole(), 1));
  return std::to_string((q->milli() + unit - 1) / unit);
}

// nullopt: optional and not there.
Result<std::optional<std::string>> key_value(const ContainerInput& in, const kube::EnvVar& e) {
  bool secret = e.from == kube::EnvVar::From::secret;
  auto key = map_key(secret, in.record.pod.meta.name_space, e.key.name);
  auto map = in.maps.find(key);
  if (map != in.maps.end()) {
    if (auto found = map->second.data.find(e.key.key); found != map->second.data.end()) return found->second;
  }
  if (e.key.optional) return std::nullopt;
  std::string what = map == in.maps.end() ? "there is no " + key : key + " has no key " + e.key.key;
  return fail(Error::of(ErrorKind::not_found, "env", e.name, what));
}

std::string env_word(std::string_view name) {
  std::string out;
  for (unsigned char c : name) out += c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return out;
}

}  // namespace

std::string expand(std::string_view text, const std::map<std::string, std::string>& vars) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      i += 2;
      continue;
    }
    auto close = text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += text[i++];
      continue;
    }
    auto found = vars.find(std::string(text.substr(i + 2, close - i - 2)));
    out += found == vars.end() ? std::string(text.substr(i, close - i + 1)) : found->second;
    i = close + 1;
  }
  return out;
}

Pairs service_env(const std::vector<kube::Service>& services) {
  Pairs out;
  for (const auto& s : services) {
    if (s.cluster_ips.empty() || s.ports.empty()) continue;
    auto name = env_word(s.meta.name);
    out.emplace_back(name + "_SERVICE_HOST", s.cluster_ips.front().str());
    out.emplace_back(name + "_SERVICE_PORT", std::to_string(s.ports.front().port));
    for (const auto& p : s.ports)
      if (!p.name.empty()) out.emplace_back(name + "_SERVICE_PORT_" + env_word(p.name), std::to_string(p.port));
  }
  return out;
}

// kubelet: makeEnvironmentVariables. Service variables first, then envFrom, then env; a later one wins, in its first
// place.
Result<Pairs> container_env(const ContainerInput& in) {
  Pairs out;
  std::map<std::string, std::string> vars;
  auto put = [&](const std::string& name, std::string value) {
    if (!vars.contains(name)) out.emplace_back(name, "");
    vars[name] = std::move(value);
  };
  if (in.record.pod.spec.service_links)
    for (const auto& [name, value] : in.service_env) put(name, value);
  for (const auto& from : in.container.env_from) {
    auto key = map_key(from.secret, in.record.pod.meta.name_space, from.name);
    auto map = in.maps.find(key);
    if (map == in.maps.end()) {
      if (from.optional) continue;
      return fail(Error::of(ErrorKind::not_found, "envFrom", in.container.name, "there is no " + key));
    }
    for (const auto& [name, value] : map->second.data) put(from.prefix + name, value);
  }
  for (const auto& e : in.container.env) {
    switch (e.from) {
      case kube::EnvVar::From::value:
        put(e.name, expand(e.value, vars));
        break;
      case kube::EnvVar::From::field:
        put(e.name, field_value(in, e.value));
        break;
      case kube::EnvVar::From::resource:
        put(e.name, TRY(resource_value(in, e)));
        break;
      case kube::EnvVar::From::config_map:
      case kube::EnvVar::From::secret:
        if (auto value = TRY(key_value(in, e))) put(e.name, *std::move(value));
        break;
    }
  }
  for (auto& [name, value] : out) value = vars[name];
  return out;
}

}  // namespace podshim::podlet
