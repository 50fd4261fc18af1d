#include "podlet/services_dir.h"

#include <ctime>

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

std::int64_t realtime_nanos() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1'000'000'000L + t.tv_nsec;
}

Result<> ServicesDir::sweep_unknown() {
  TRY(sys::make_dirs(directory_, 0755));
  for (const auto& name : TRY(sys::list_dir(directory_)))
    if (is_ours(name)) written_.emplace(name, "");  // unknown content: rewritten or removed below
  swept_ = true;
  return {};
}

Result<std::int64_t> ServicesDir::write(const std::vector<kube::Service>& services,
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
  return changed ? realtime_nanos() : 0;
}

std::optional<std::int64_t> netproxy_synced_through(const std::string& status_file) {
  if (status_file.empty()) return std::nullopt;
  auto text = sys::read_file(status_file, 1 << 20);
  if (!text) return std::nullopt;
  auto value = json::parse(*text);
  if (!value) return std::nullopt;
  const auto* n = value->find("syncedThrough");
  return n != nullptr && n->is_integer() ? std::optional(n->as_integer()) : std::nullopt;
}

}  // namespace podshim::podlet
