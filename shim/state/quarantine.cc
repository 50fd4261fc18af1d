#include "shim/state/quarantine.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "common/sys/file.h"

namespace podshim::state {

void Quarantine::take(const std::string& name, const std::string& path, const std::string& reason) {
  std::string target = dir_ + "/" + name;
  bool moved = ::rename(path.c_str(), (target + ".json").c_str()) == 0;
  if (moved) (void)sys::write_file_atomic(target + ".reason", reason + "\n", 0600);
  taken_.push_back({name, moved ? reason : reason + " (could not be moved: " + errno_name(errno) + ")"});
}

std::vector<std::string> Quarantine::taken() const {
  std::vector<std::string> out;
  for (const auto& q : taken_) out.push_back(q.name + ": " + q.reason);
  return out;
}

std::vector<Quarantined> Quarantine::list() const {
  std::map<std::string, std::string> all;
  constexpr std::string_view kSuffix = ".json";
  for (const auto& file : sys::list_dir(dir_).value_or(std::vector<std::string>{})) {
    if (!file.ends_with(kSuffix)) continue;
    std::string name = file.substr(0, file.size() - kSuffix.size());
    std::string reason = sys::read_file(dir_ + "/" + name + ".reason", 4096).value_or("set aside earlier");
    while (!reason.empty() && reason.back() == '\n') reason.pop_back();
    all[name] = std::move(reason);
    if (all.size() == kMaxListed) break;
  }
  for (const auto& q : taken_) all[q.name] = q.reason;
  std::vector<Quarantined> out;
  for (auto& [name, reason] : all) out.push_back({name, reason});
  return out;
}

}  // namespace podshim::state
