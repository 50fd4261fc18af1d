#include "tests/support/fake_runtime.h"

#include <algorithm>

namespace podshim::test {
namespace {

// By id or unique prefix; end() when there is none.
template <typename Map>
auto look_up(Map& map, const std::string& id) {
  auto it = map.lower_bound(id);
  if (id.empty() || it == map.end() || !it->first.starts_with(id)) return map.end();
  const auto next = std::next(it);
  if (it->first != id && next != map.end() && next->first.starts_with(id)) return map.end();
  return it;
}

// Replaces the view by a changed copy.
template <typename View, typename Change>
void update(std::shared_ptr<const View>& view, Change change) {
  auto copy = std::make_shared<View>(*view);
  change(*copy);
  view = std::move(copy);
}

template <typename View, typename Map>
std::vector<std::shared_ptr<const View>> by_age(const Map& map) {
  std::vector<std::shared_ptr<const View>> out;
  for (const auto& [id, view] : map) out.push_back(view);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->created_at_ns < b->created_at_ns; });
  return out;
}

}  // namespace

void FakeImages::add(Image image) {
  std::lock_guard lock(mutex_);
  images_[image.id] = std::move(image);
}

Result<std::vector<Image>> FakeImages::import(const std::string& path) {
  return fail(Error::sys("open", path, {}, ENOENT));
}

std::optional<Image> FakeImages::find(const std::string& reference) const {
  std::lock_guard lock(mutex_);
  for (const auto& [id, image] : images_) {
    const bool tagged = std::count(image.repo_tags.begin(), image.repo_tags.end(), reference) != 0;
    if (id == reference || tagged) return image;
  }
  return std::nullopt;
}

std::vector<Image> FakeImages::list() const {
  std::lock_guard lock(mutex_);
  std::vector<Image> out;
  for (const auto& [id, image] : images_) out.push_back(image);
  return out;
}

Result<> FakeImages::remove(const std::string& reference) {
  const auto image = find(reference);
  std::lock_guard lock(mutex_);
  if (image) images_.erase(image->id);
  return {};
}

Result<FsUsage> FakeImages::usage() const { return FsUsage{.mountpoint = "/", .used_bytes = 1, .timestamp_ns = 1}; }

Result<Fd> FakeImages::mount_rootfs(const Image& image, const std::string&) {
  return fail(Error::of(ErrorKind::unimplemented, "mount", image.id));
}

Result<SandboxId> FakeRuntime::run_sandbox(const SandboxSpec& spec) {
  std::lock_guard lock(mutex_);
  for (const auto& [id, view] : sandboxes_) {
    if (view->spec.metadata != spec.metadata) continue;
    if (view->spec == spec && view->state == SandboxState::ready) return view->id;
    return fail(Error::of(ErrorKind::already_exists, "run sandbox", spec.metadata.name, "as " + id));
  }
  SandboxView view{.id = *SandboxId::parse(random_hex(32)), .spec = spec, .state = SandboxState::ready};
  view.created_at_ns = ++clock_ns_;
  view.ips = {IpAddress::v4(0x0a2a0002 + static_cast<std::uint32_t>(sandboxes_.size()))};
  view.pause_pid = 4242;
  sandboxes_[view.id.str()] = std::make_shared<const SandboxView>(view);
  return view.id;
}

Result<> FakeRuntime::stop_sandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return {};
  update(it->second, [](auto& view) { view.state = SandboxState::not_ready; });
  for (auto& [cid, container] : containers_)
    if (container->sandbox == it->second->id && container->state == ContainerState::running)
      update(container, [](auto& view) { view.state = ContainerState::exited; });
  return {};
}

Result<> FakeRuntime::remove_sandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return {};
  std::erase_if(containers_, [&](const auto& entry) { return entry.second->sandbox == it->second->id; });
  sandboxes_.erase(it);
  return {};
}

Result<ContainerId> FakeRuntime::create_container(const std::string& sandbox_id, const ContainerSpec& spec) {
  const auto image = images_.find(spec.image);
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, sandbox_id);
  if (it == sandboxes_.end()) return fail(Error::of(ErrorKind::not_found, "sandbox", sandbox_id));
  if (!image) return fail(Error::of(ErrorKind::not_found, "image", spec.image));
  ContainerView view{.id = *ContainerId::parse(random_hex(32)), .sandbox = it->second->id, .spec = spec};
  view.created_at_ns = ++clock_ns_;
  view.image_id = image->id;
  view.log_path = it->second->spec.log_directory + "/" + spec.log_path;
  containers_[view.id.str()] = std::make_shared<const ContainerView>(view);
  return view.id;
}

Result<> FakeRuntime::change(const std::string& id, ContainerState from, ContainerState to) {
  const auto it = look_up(containers_, id);
  if (it == containers_.end()) return fail(Error::of(ErrorKind::not_found, "container", id));
  if (it->second->state != from) return fail(Error::of(ErrorKind::failed_precondition, "container", id, "wrong state"));
  update(it->second, [&](auto& view) {
    view.state = to;
    (to == ContainerState::running ? view.started_at_ns : view.finished_at_ns) = ++clock_ns_;
  });
  return {};
}

Result<> FakeRuntime::start_container(const std::string& id) {
  std::lock_guard lock(mutex_);
  return change(id, ContainerState::created, ContainerState::running);
}

Result<> FakeRuntime::stop_container(const std::string& id, std::chrono::seconds) {
  std::unique_lock lock(mutex_);
  hanging_++;
  released_.wait(lock, [this] { return !hang_stops_; });
  hanging_--;
  const auto it = look_up(containers_, id);
  if (it == containers_.end() || it->second->state != ContainerState::running) return {};
  update(it->second, [](auto& view) {
    view.exit_code = 137;
    view.reason = "Error";
  });
  return change(id, ContainerState::running, ContainerState::exited);
}

Result<> FakeRuntime::remove_container(const std::string& id) {
  std::lock_guard lock(mutex_);
  if (const auto it = look_up(containers_, id); it != containers_.end()) containers_.erase(it);
  return {};
}

Result<ExecResult> FakeRuntime::exec_sync(const std::string& id, const std::vector<std::string>& command,
                                          std::chrono::seconds) {
  const auto view = TRY(container(id));
  if (view->state != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "exec", id, "the container does not run"));
  ExecResult out;
  if (command[0] == "echo") {
    for (std::size_t i = 1; i < command.size(); i++) out.out += (i > 1 ? " " : "") + command[i];
    out.out += "\n";
  } else if (command[0] == "fail") {
    out.exit_code = std::stoi(command.at(1));
    out.err = "failed\n";
  } else {
    return fail(Error::sys("exec", command[0], {}, ENOENT));
  }
  return out;
}

Result<> FakeRuntime::reopen_log(const std::string& id) {
  TRY(container(id));
  return {};
}

std::shared_ptr<const Snapshot> FakeRuntime::snapshot() const {
  std::lock_guard lock(mutex_);
  auto out = std::make_shared<Snapshot>();
  out->sandboxes = by_age<SandboxView>(sandboxes_);
  out->containers = by_age<ContainerView>(containers_);
  return out;
}

Result<std::shared_ptr<const SandboxView>> FakeRuntime::sandbox(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return fail(Error::of(ErrorKind::not_found, "sandbox", id));
  return it->second;
}

Result<std::shared_ptr<const ContainerView>> FakeRuntime::container(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = look_up(containers_, id);
  if (it == containers_.end()) return fail(Error::of(ErrorKind::not_found, "container", id));
  return it->second;
}

std::vector<ContainerStats> FakeRuntime::stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const {
  std::vector<ContainerStats> out;
  for (const auto& view : which)
    if (view->state == ContainerState::running)
      out.push_back({.container = view, .timestamp_ns = 1, .cpu_usage_ns = 2, .memory_working_set_bytes = 3});
  return out;
}

RuntimeStatus FakeRuntime::status() const {
  return {.runtime = {.ok = true}, .network = {.ok = false, .reason = "NoNetworkConfig", .message = "no file"}};
}

Result<> FakeRuntime::set_pod_cidr(const std::string& cidr) {
  std::lock_guard lock(mutex_);
  pod_cidr_ = cidr;
  return {};
}

void FakeRuntime::hang_stops() {
  std::lock_guard lock(mutex_);
  hang_stops_ = true;
}

void FakeRuntime::release_stops() {
  std::lock_guard lock(mutex_);
  hang_stops_ = false;
  released_.notify_all();
}

int FakeRuntime::hanging_stops() const {
  std::lock_guard lock(mutex_);
  return hanging_;
}

std::string FakeRuntime::pod_cidr() const {
  std::lock_guard lock(mutex_);
  return pod_cidr_;
}

}  // namespace podshim::test
