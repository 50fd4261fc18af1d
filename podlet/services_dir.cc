#include "podlet/services_dir.h"

#include "common/log.h"
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

template <typename T>
std::vector<T> read_objects(const std::string& directory, std::string_view prefix,
                            Result<T> (*decode)(const json::Reader&, kube::Unknowns&)) {
  std::vector<T> out;
  auto names = sys::list_dir(directory);
  if (!names) return out;
  for (const auto& name : *names) {
    if (!name.starts_with(prefix) || !name.ends_with(".json")) continue;
    auto object = [&]() -> Result<T> {
      auto text = TRY(sys::read_file(directory + "/" + name));
      auto value = TRY(json::parse(text));
      auto reader = TRY(json::Reader::of(value, "", name));
      kube::Unknowns unknowns;
      return decode(reader, unknowns);
    }();
    if (object) {
      out.push_back(*std::move(object));
    } else {
      log::warn("a file of the services directory does not read", {{"why", object.error().text()}});
    }
  }
  return out;
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

std::vector<kube::EndpointSlice> read_slices(const std::string& directory) {
  return read_objects(directory, "endpointslice_", kube::decode_endpoint_slice);
}
std::vector<kube::Service> read_services(const std::string& directory) {
  return read_objects(directory, "service_", kube::decode_service);
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
