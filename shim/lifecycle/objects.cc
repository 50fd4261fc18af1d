#include "shim/lifecycle/objects.h"

namespace podshim::lifecycle {
namespace {

template <typename T>
Result<std::shared_ptr<T>> by_prefix(const std::map<std::string, std::shared_ptr<T>>& map, const std::string& id,
                                     const char* kind) {
  if (id.empty()) return fail(Error::invalid(std::string(kind) + "_id", "is empty"));
  auto at = map.lower_bound(id);
  if (at == map.end() || !at->first.starts_with(id)) return nullptr;
  auto next = std::next(at);
  if (at->first != id && next != map.end() && next->first.starts_with(id))
    return fail(Error::invalid(std::string(kind) + "_id", "\"" + id + "\" is the beginning of several ids"));
  return at->second;
}

template <typename T>
std::vector<std::shared_ptr<T>> values(const std::map<std::string, std::shared_ptr<T>>& map) {
  std::vector<std::shared_ptr<T>> out;
  out.reserve(map.size());
  for (const auto& [id, object] : map) out.push_back(object);
  return out;
}

template <typename T>
std::shared_ptr<T> named(const std::map<std::string, std::shared_ptr<T>>& map, const std::string& key) {
  auto at = map.find(key);
  return at == map.end() ? nullptr : at->second;
}

}  // namespace

std::string name_key(const SandboxSpec& spec) {
  const auto& m = spec.metadata;
  return m.name_space + "/" + m.name + "/" + m.uid + "/" + std::to_string(m.attempt);
}

std::string name_key(const SandboxId& sandbox, const ContainerSpec& spec) {
  return sandbox.str() + "/" + spec.metadata.name + "/" + std::to_string(spec.metadata.attempt);
}

std::string netns_name_of(const state::SandboxRecord& record) {
  return record.netns_path.substr(record.netns_path.rfind('/') + 1);
}

std::shared_ptr<const SandboxView> view_of(const state::SandboxRecord& r) {
  auto view = std::make_shared<SandboxView>(
      SandboxView{.id = r.id,
                  .spec = r.spec,
                  .state = r.ready ? SandboxState::ready : SandboxState::not_ready,
                  .created_at_ns = r.created_at_ns,
                  .ips = r.ready ? r.ips : std::vector<IpAddress>{},  // a stopped Pod's address may be another's
                  .pause_pid = r.ready ? r.pause.pid : 0,
                  .netns_path = r.netns_path,
                  .cgroup_path = r.cgroup_parent});
  if (r.update.overhead) view->spec.overhead = r.update.overhead;
  if (r.update.resources) view->spec.resources = r.update.resources;
  return view;
}

std::shared_ptr<const ContainerView> view_of(const state::ContainerRecord& r) {
  auto view = std::make_shared<ContainerView>(ContainerView{.id = r.id,
                                                            .sandbox = r.sandbox,
                                                            .spec = r.spec,
                                                            .state = Container::state_of(r),
                                                            .created_at_ns = r.created_at_ns,
                                                            .started_at_ns = r.started_at_ns,
                                                            .image_id = r.image_id,
                                                            .image_reference = r.image_reference,
                                                            .volume_images = r.volume_images,
                                                            .log_path = r.log_path,
                                                            .user = r.user,
                                                            .pid = r.exit ? 0 : r.process.pid,
                                                            .log_lost = r.log_lost});
  if (r.resources) view->spec.resources = r.resources;
  if (r.exit) {
    view->finished_at_ns = r.exit->finished_at_ns;
    view->exit_code = r.exit->code;
    view->reason = r.exit->reason;
    view->message = r.exit->message;
  }
  return view;
}

Result<std::shared_ptr<Sandbox>> Table::sandbox(const std::string& id) const {
  std::lock_guard lock(mutex_);
  return by_prefix(sandboxes_, id, "pod_sandbox");
}

Result<std::shared_ptr<Container>> Table::container(const std::string& id) const {
  std::lock_guard lock(mutex_);
  return by_prefix(containers_, id, "container");
}

std::shared_ptr<Sandbox> Table::sandbox_named(const std::string& key) const {
  std::lock_guard lock(mutex_);
  return named(sandbox_names_, key);
}

std::shared_ptr<Container> Table::container_named(const std::string& key) const {
  std::lock_guard lock(mutex_);
  return named(container_names_, key);
}

std::vector<std::shared_ptr<Sandbox>> Table::sandboxes() const {
  std::lock_guard lock(mutex_);
  return values(sandboxes_);
}

std::vector<std::shared_ptr<Container>> Table::containers() const {
  std::lock_guard lock(mutex_);
  return values(containers_);
}

std::vector<std::shared_ptr<Container>> Table::containers_of(const SandboxId& sandbox) const {
  std::vector<std::shared_ptr<Container>> out;
  const std::string prefix = sandbox.str() + "/";
  std::lock_guard lock(mutex_);
  for (auto at = container_names_.lower_bound(prefix); at != container_names_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    out.push_back(at->second);
  }
  return out;
}

void Table::begin(const std::string& id) {
  std::lock_guard lock(mutex_);
  making_.insert(id);
}

bool Table::add(std::shared_ptr<Sandbox> sandbox) {
  const std::string key = name_key(sandbox->record.spec);
  std::lock_guard lock(mutex_);
  sandbox_names_[key] = sandbox;
  sandboxes_[sandbox->id.str()] = sandbox;
  return !gone_early_.contains(sandbox->id.str());
}

bool Table::add(std::shared_ptr<Container> container) {
  const std::string key = name_key(container->sandbox->id, container->record.spec);
  std::lock_guard lock(mutex_);
  if (!sandboxes_.contains(container->sandbox->id.str())) return false;
  container_names_[key] = container;
  containers_[container->id.str()] = std::move(container);
  return true;
}

void Table::end(const std::string& id) {
  std::lock_guard lock(mutex_);
  making_.erase(id);
  gone_early_.erase(id);
}

bool Table::known(const std::string& id) const {
  std::lock_guard lock(mutex_);
  return making_.contains(id) || sandboxes_.contains(id) || containers_.contains(id);
}

std::vector<std::string> Table::making() const {
  std::lock_guard lock(mutex_);
  return {making_.begin(), making_.end()};
}

std::shared_ptr<Sandbox> Table::gone(const SandboxId& id) {
  std::lock_guard lock(mutex_);
  if (auto at = sandboxes_.find(id.str()); at != sandboxes_.end()) return at->second;
  if (making_.contains(id.str())) gone_early_.insert(id.str());
  return nullptr;
}

bool Table::erase(const Sandbox& sandbox) {
  const std::string prefix = sandbox.id.str() + "/", key = name_key(sandbox.record.spec);
  std::lock_guard lock(mutex_);
  auto first = container_names_.lower_bound(prefix);
  if (first != container_names_.end() && first->first.starts_with(prefix)) return false;
  sandboxes_.erase(sandbox.id.str());
  if (auto at = sandbox_names_.find(key); at != sandbox_names_.end() && at->second.get() == &sandbox)
    sandbox_names_.erase(at);
  return true;
}

void Table::erase(const Container& container) {
  const std::string key = name_key(container.sandbox->id, container.record.spec);
  std::lock_guard lock(mutex_);
  containers_.erase(container.id.str());
  if (auto at = container_names_.find(key); at != container_names_.end() && at->second.get() == &container)
    container_names_.erase(at);
}

}  // namespace podshim::lifecycle
