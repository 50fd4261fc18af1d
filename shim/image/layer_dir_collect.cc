// How layers go: what nobody has any more, and what is damaged.
#include <cstdio>

#include "common/fault.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/image/layer_dir.h"

namespace podshim::image {
namespace {

constexpr const char* kUsers = "/users";

}  // namespace

// The keys of a layer and those below. False: one of them is not whole, so that nobody knows what lies below that.
bool LayerDir::walk_down(const std::string& key, std::set<std::string>* keys) const {
  for (std::string at = key;;) {
    keys->insert(at);
    auto chain = keys_.find(at);
    if (chain == keys_.end()) return false;
    const Layer& layer = whole_.at(chain->second);
    if (layer.parent.empty()) return true;
    at = layer_key(layer.parent);
  }
}

Result<> LayerDir::discard(const std::string& name) {
  std::string from = paths_.layers + "/" + name, to = paths_.trash + "/" + random_hex(8);
  fault_point("discard layer");
  if (::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("rename", from, to));
}

// Takes a damaged layer out of its place. Containers that may use it keep it: a lower directory of a mounted overlay
// may be renamed (the mount has it open), and must not lose its files.
Result<> LayerDir::retire(const std::string& name) {
  std::vector<LayerUses::Use> users;
  for (auto& use : TRY(uses_.list())) {
    std::set<std::string> keys;
    if (!walk_down(use.key, &keys) || keys.contains(name)) users.push_back(std::move(use));
  }
  if (users.empty()) {
    TRY(discard(name));
    unread_.erase(name);
    return {};
  }
  const std::string from = paths_.layers + "/" + name, aside = kAside + random_hex(8);
  TRY(uses_.copy(users, from + kUsers));
  fault_point("set layer aside");
  if (::rename(from.c_str(), (paths_.layers + "/" + aside).c_str()) != 0)
    return fail(Error::sys("rename", from, aside));
  unread_.erase(name);  // not before: what is neither whole nor listed there may be removed by anybody
  aside_.insert(aside);
  log::warn("a damaged layer that containers may use is set aside", {{"layer", name}, {"as", aside}});
  return {};
}

Result<> LayerDir::collect(const std::set<Digest>& keep) {
  std::lock_guard lock(mutex_);
  std::set<std::string> live;
  for (const auto& chain : keep) live.insert(layer_key(chain));
  bool known = true;
  for (const auto& use : TRY(uses_.list())) known = walk_down(use.key, &live) && known;
  for (auto it = whole_.begin(); it != whole_.end();) {
    const std::string key = it->second.key();
    if (!known || live.contains(key)) {
      ++it;
      continue;
    }
    TRY(discard(key));
    keys_.erase(key);
    it = whole_.erase(it);
    note_totals();
  }
  return collect_damaged(live, known);
}

Result<> LayerDir::collect_damaged(const std::set<std::string>& live, bool known) {
  for (auto it = unread_.begin(); it != unread_.end();) {
    if (!known || live.contains(*it)) {
      ++it;
      continue;
    }
    TRY(discard(*it));
    it = unread_.erase(it);
  }
  for (auto it = aside_.begin(); it != aside_.end();) {
    auto users = LayerUses(paths_.layers + "/" + *it + kUsers).list();
    if (!users && !users.error().is(ENOENT)) return fail(std::move(users).error());
    if (users && !users->empty()) {
      ++it;
      continue;
    }
    TRY(discard(*it));
    it = aside_.erase(it);
  }
  return {};
}

}  // namespace podshim::image
