#include "shim/state/snapshot.h"

#include <algorithm>
#include <tuple>
#include <utility>

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

// Gives the view that was there before.
template <typename View>
std::shared_ptr<const View> put_into(std::vector<std::shared_ptr<const View>>& views,
                                     std::shared_ptr<const View> view) {
  auto before = [](const std::shared_ptr<const View>& a, const std::shared_ptr<const View>& b) {
    return std::tie(a->created_at_ns, a->id) < std::tie(b->created_at_ns, b->id);
  };
  auto at = std::lower_bound(views.begin(), views.end(), view, before);
  if (at != views.end() && (*at)->id == view->id) return std::exchange(*at, std::move(view));
  views.insert(at, std::move(view));
  return nullptr;
}

template <typename View, typename Id>
std::shared_ptr<const View> take_from(std::vector<std::shared_ptr<const View>>& views, const Id& id) {
  const auto at = std::find_if(views.begin(), views.end(), [&](const auto& v) { return v->id == id; });
  if (at == views.end()) return nullptr;
  auto taken = *at;
  views.erase(at);
  return taken;
}

std::shared_ptr<const SandboxView> sandbox_of(const Snapshot& snapshot, const ContainerView& container) {
  for (const auto& sandbox : snapshot.sandboxes)
    if (sandbox->id == container.sandbox) return sandbox;
  return nullptr;
}

using Types = std::vector<PodEventType>;

Types types_of(const SandboxView* before, const SandboxView& now) {
  const bool ready = now.state == SandboxState::ready;
  if (before == nullptr) return ready ? Types{PodEventType::created, PodEventType::started} : Types{};
  return before->state == SandboxState::ready && !ready ? Types{PodEventType::stopped} : Types{};
}

Types types_of(const ContainerView* before, const ContainerView& now) {
  Types out;
  if (before == nullptr) out.push_back(PodEventType::created);
  const auto was = before == nullptr ? ContainerState::created : before->state;
  if (was == now.state) return out;
  // One that ended before its start was published did start.
  const bool ran = now.state == ContainerState::exited && was == ContainerState::created && now.reason != "StartError";
  if (ran || now.state == ContainerState::running) out.push_back(PodEventType::started);
  if (now.state == ContainerState::exited) out.push_back(PodEventType::stopped);
  return out;
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

struct Publisher::News {
  std::string id;
  Types types;
  std::shared_ptr<const SandboxView> sandbox;
};

template <typename Change>
void Publisher::change(Change change) {
  std::lock_guard one(writer_);
  auto next = std::make_shared<Snapshot>(*load());
  const News news = change(*next);
  std::shared_ptr<const Snapshot> old = std::move(next);
  {
    std::lock_guard lock(pointer_);
    current_.swap(old);
  }  // the old one is freed outside the lock
  for (const auto type : news.types) events_.announce(news.id, type, news.sandbox);
}

void Publisher::put_sandbox(const std::function<std::shared_ptr<const SandboxView>()>& make) {
  change([&](Snapshot& s) -> News {
    auto view = make();
    if (!view) return {};
    const auto before = put_into(s.sandboxes, view);
    return {.id = view->id.str(), .types = types_of(before.get(), *view), .sandbox = view};
  });
}

void Publisher::put_container(const std::function<std::shared_ptr<const ContainerView>()>& make) {
  change([&](Snapshot& s) -> News {
    auto view = make();
    if (!view) return {};
    const auto before = put_into(s.containers, view);
    return {.id = view->id.str(), .types = types_of(before.get(), *view), .sandbox = sandbox_of(s, *view)};
  });
}

void Publisher::replace(const std::function<Snapshot()>& make) {
  change([&](Snapshot& s) -> News {
    s = {};
    Snapshot all = make();
    for (auto& view : all.sandboxes) put_into(s.sandboxes, std::move(view));
    for (auto& view : all.containers) put_into(s.containers, std::move(view));
    return {};
  });
}

void Publisher::erase(const SandboxId& id) {
  change([&](Snapshot& s) -> News {
    auto view = take_from(s.sandboxes, id);
    if (!view) return {};
    return {.id = id.str(), .types = {PodEventType::deleted}, .sandbox = std::move(view)};
  });
}

void Publisher::erase(const ContainerId& id) {
  change([&](Snapshot& s) -> News {
    const auto view = take_from(s.containers, id);
    if (!view) return {};
    return {.id = id.str(), .types = {PodEventType::deleted}, .sandbox = sandbox_of(s, *view)};
  });
}

}  // namespace state
}  // namespace podshim
