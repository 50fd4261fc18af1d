#include "podlet/services_dir.h"

#include "common/sys/file.h"

namespace podshim::podlet {
namespace {

// Kubernetes names hold no underscore, so the parts cannot run into each other.
std::string file_name(const char* kind, const kube::ObjectMeta& meta) {
  return std::string(kind) + "_" + meta.name_space + "_" + meta.name + ".json";
}
bool is_ours(std::string_view name) {
  return (name.starts_with("service_") || name.starts_with("endpointslice_")) && name.ends_with(".json");
}

}  // namespace

Result<> ServicesDir::sweep_unknown() {
  TRY(sys::make_dirs(directory_, 0755));
  for (const auto& name : TRY(sys::list_dir(directory_)))
    if (is_ours(name)) written_.emplace(name, "");  // unknown content: rewritten or removed below
  swept_ = true;
  return {};
}

Result<bool> ServicesDir::write(const std::vector<kube::Service>& services,
                                const std::vector<kube::EndpointSlice>& slices) {
  if (!swept_) TRY(sweep_unknown());
  std::map<std::string, std::string> wanted;
  for (const auto& s : services) wanted[file_name("service", s.meta)] = json::dump(kube::encode_service(s)) + "\n";
  for (const auto& s : slices)
    wanted[file_name("endpointslice", s.meta)] = json::dump(kube::encode_endpoint_slice(s)) + "\n";
  bool changed = false;
  for (const auto& [name, text] : wanted) {
    auto before = written_.find(name);
    if (before != written_.end() && before->second == text) continue;
    TRY(sys::write_file_atomic(directory_ + "/" + name, text, 0644));
    written_[name] = text;
    changed = true;
  }
  for (auto it = written_.begin(); it != written_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    TRY(sys::remove_file(directory_ + "/" + it->first));
    it = written_.erase(it);
    changed = true;
  }
  return changed;
}

std::string endpoint_text(const IpAddress& address, int port) {
  auto host = address.is_v4() ? address.str() : "[" + address.str() + "]";
  return host + ":" + std::to_string(port);
}

bool netproxy_sends_to(const std::string& status_file, const std::set<std::string>& addresses) {
  if (status_file.empty()) return false;
  auto text = sys::read_file(status_file);
  if (!text) return false;
  auto value = json::parse(*text);
  const auto* services = value ? value->find("services") : nullptr;
  if (services == nullptr || !services->is_object()) return false;
  for (const auto& [key, service] : services->as_object()) {
    const auto* ports = service.find("endpoints");
    if (ports == nullptr || !ports->is_object()) continue;
    for (const auto& [name, list] : ports->as_object()) {
      if (!list.is_array()) continue;
      for (const auto& address : list.as_array())
        if (address.is_string() && addresses.contains(address.as_string())) return true;
    }
  }
  return false;
}

}  // namespace podshim::podlet
