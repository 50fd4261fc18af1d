#include "shim/state/snapshot.h"

#include <algorithm>
#include <tuple>

namespace podshim {
namespace {

template <typename View>
std::shared_ptr<const View> find(const std::vector<std::shared_ptr<const View>>& views, const std::string& id,
                                 bool* ambiguous) {
  std::shared_ptr<const View> found;
  if (id.empty()) return found;
  for (const auto& view : views) {
    if (!view->id.str().starts_with(id)) continue;
    if (found) {
      if (ambiguous != nullptr) *ambiguous = true;
      return nullptr;
    }
    found = view;
  }
  return found;
}

template <typename View>
void put_into(std::vector<std::shared_ptr<const View>>& views, std::shared_ptr<const View> view) {
  auto before = [](const std::shared_ptr<const View>& a, const std::shared_ptr<const View>& b) {
    return std::tie(a->created_at_ns, a->id) < std::tie(b->created_at_ns, b->id);
  };
  auto at = std::lower_bound(views.begin(), views.end(), view, before);
  if (at != views.end() && (*at)->id == view->id)
    *at = std::move(view);
  else
    views.insert(at, std::move(view));
}

}  // namespace

std::shared_ptr<const SandboxView> Snapshot::sandbox(const std::string& id, bool* ambiguous) const {
  return find(sandboxes, id, ambiguous);
}

std::shared_ptr<const ContainerView> Snapshot::container(const std::string& id, bool* ambiguous) const {
  return find(containers, id, ambiguous);
}

namespace state {

std::shared_ptr<const Snapshot> Publisher::load() const {
  std::lock_guard lock(pointer_);
  return current_;
}

template <typename Change>
void Publisher::change(Change change) {
  std::lock_guard one(writer_);
  auto next = std::make_shared<Snapshot>(*load());
  change(*next);
  std::shared_ptr<const Snapshot> old = std::move(next);
  {
    std::lock_guard lock(pointer_);
    current_.swap(old);
  }  // the old one is freed outside the lock
}

void Publisher::put_sandbox(const std::function<std::shared_ptr<const SandboxView>()>& make) {
  change([&](Snapshot& s) {
    if (auto view = make()) put_into(s.sandboxes, std::move(view));
  });
}

void Publisher::put_container(const std::function<std::shared_ptr<const ContainerView>()>& make) {
  change([&](Snapshot& s) {
    if (auto view = make()) put_into(s.containers, std::move(view));
  });
}

void Publisher::replace(const std::function<Snapshot()>& make) {
  change([&](Snapshot& s) {
    s = {};
    Snapshot all = make();
    for (auto& view : all.sandboxes) put_into(s.sandboxes, std::move(view));
    for (auto& view : all.containers) put_into(s.containers, std::move(view));
  });
}

void Publisher::erase(const SandboxId& id) {
  change([&](Snapshot& s) { std::erase_if(s.sandboxes, [&](const auto& v) { return v->id == id; }); });
}

void Publisher::erase(const ContainerId& id) {
  change([&](Snapshot& s) { std::erase_if(s.containers, [&](const auto& v) { return v->id == id; }); });
}

}  // namespace state
}  // namespace podshim
