#include "tests/support/fake_runtime.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "tests/support/local_process.h"

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
  const auto& made = sandboxes_[view.id.str()] = std::make_shared<const SandboxView>(view);
  for (const auto type : {PodEventType::created, PodEventType::started}) events_.announce(view.id.str(), type, made);
  return view.id;
}

Result<> FakeRuntime::stop_sandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return {};
  const bool was_ready = it->second->state == SandboxState::ready;
  update(it->second, [](auto& view) { view.state = SandboxState::not_ready; });
  for (auto& [cid, container] : containers_) {
    if (container->sandbox != it->second->id || container->state != ContainerState::running) continue;
    update(container, [](auto& view) { view.state = ContainerState::exited; });
    tell(*container, PodEventType::stopped);
  }
  if (was_ready) events_.announce(it->first, PodEventType::stopped, it->second);
  return {};
}

Result<> FakeRuntime::remove_sandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return {};
  std::erase_if(containers_, [&](const auto& entry) {
    const bool ours = entry.second->sandbox == it->second->id;
    if (ours) tell(*entry.second, PodEventType::deleted);
    return ours;
  });
  events_.announce(it->first, PodEventType::deleted, it->second);
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
  tell(view, PodEventType::created);
  return view.id;
}

void FakeRuntime::tell(const ContainerView& container, PodEventType type) {
  const auto sandbox = sandboxes_.find(container.sandbox.str());
  events_.announce(container.id.str(), type, sandbox == sandboxes_.end() ? nullptr : sandbox->second);
}

Result<> FakeRuntime::change(const std::string& id, ContainerState from, ContainerState to) {
  const auto it = look_up(containers_, id);
  if (it == containers_.end()) return fail(Error::of(ErrorKind::not_found, "container", id));
  if (it->second->state != from) return fail(Error::of(ErrorKind::failed_precondition, "container", id, "wrong state"));
  update(it->second, [&](auto& view) {
    view.state = to;
    (to == ContainerState::running ? view.started_at_ns : view.finished_at_ns) = ++clock_ns_;
  });
  tell(*it->second, to == ContainerState::running ? PodEventType::started : PodEventType::stopped);
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
  const auto it = look_up(containers_, id);
  if (it == containers_.end()) return {};
  tell(*it->second, PodEventType::deleted);
  containers_.erase(it);
  return {};
}

Result<ExecResult> FakeRuntime::exec_sync(const std::string& id, const std::vector<std::string>& command,
                                          std::chrono::seconds, std::stop_token) {
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

Result<std::unique_ptr<ProcessStream>> FakeRuntime::open_exec(const std::string& id,
                                                              const std::vector<std::string>& command,
                                                              const StreamRequest& request, StreamEnd ended,
                                                              std::stop_token given_up) {
  wait_while_held(id, given_up);
  if (given_up.stop_requested()) return fail(Error::of(ErrorKind::cancelled, "exec", id, "its client has gone"));
  const auto view = TRY(container(id));
  if (view->state != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "exec", id, "the container does not run"));
  if (command.front() == "/no/such") return fail(Error::sys("exec", command.front(), {}, ENOENT));
  return start_local_process(command, request, StreamShape::exec, std::move(ended));
}

Result<std::unique_ptr<ProcessStream>> FakeRuntime::attach(const std::string& id, const StreamRequest& request,
                                                           StreamEnd ended) {
  wait_while_held(id);
  const auto view = TRY(container(id));
  return start_local_process(view->spec.command.empty() ? std::vector<std::string>{"/bin/sh"} : view->spec.command,
                             request, StreamShape::attach, std::move(ended));
}

Result<Fd> FakeRuntime::dial(const std::string& sandbox_id, std::uint16_t port) {
  wait_while_held(sandbox_id);
  TRY(sandbox(sandbox_id));
  {
    std::lock_guard lock(mutex_);
    if (const auto it = ports_.find(port); it != ports_.end()) port = it->second;
  }
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::sys("connect", "localhost:" + std::to_string(port)));
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

void FakeRuntime::map_port(std::uint16_t pod_port, std::uint16_t port) {
  std::lock_guard lock(mutex_);
  ports_[pod_port] = port;
}

void FakeRuntime::hold_streams(bool on, const std::string& only) {
  std::lock_guard lock(mutex_);
  hold_streams_ = on;
  hold_only_ = only;
  released_.notify_all();
}

int FakeRuntime::held_streams() const {
  std::lock_guard lock(mutex_);
  return held_;
}

int FakeRuntime::asked_streams() const {
  std::lock_guard lock(mutex_);
  return asked_;
}

void FakeRuntime::wait_while_held(const std::string& id, const std::stop_token& given_up) {
  const std::stop_callback wake(given_up, [&] {
    std::lock_guard lock(mutex_);
    released_.notify_all();
  });
  std::unique_lock lock(mutex_);
  asked_++;
  held_++;
  released_.wait(
      lock, [&] { return !hold_streams_ || (!hold_only_.empty() && hold_only_ != id) || given_up.stop_requested(); });
  held_--;
}

Result<> FakeRuntime::reopen_log(const std::string& id) {
  TRY(container(id));
  return {};
}

Result<> FakeRuntime::update_container(const std::string& id, const Resources& resources) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(containers_, id);
  if (it == containers_.end()) return fail(Error::of(ErrorKind::not_found, "container", id));
  if (it->second->state == ContainerState::exited)
    return fail(Error::of(ErrorKind::failed_precondition, "container", id, "has ended"));
  update(it->second, [&](auto& view) { view.spec.resources = resources; });
  return {};
}

Result<> FakeRuntime::update_sandbox(const std::string& id, const std::optional<Resources>& overhead,
                                     const std::optional<Resources>& resources) {
  std::lock_guard lock(mutex_);
  const auto it = look_up(sandboxes_, id);
  if (it == sandboxes_.end()) return fail(Error::of(ErrorKind::not_found, "sandbox", id));
  update(it->second, [&](auto& view) {
    if (overhead) view.spec.overhead = overhead;
    if (resources) view.spec.resources = resources;
  });
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

std::vector<std::shared_ptr<const ContainerView>> FakeRuntime::containers_of(const SandboxId& sandbox) const {
  std::vector<std::shared_ptr<const ContainerView>> out;
  std::lock_guard lock(mutex_);
  for (const auto& [id, view] : containers_)
    if (view->sandbox == sandbox) out.push_back(view);
  return out;
}

// Each took a millisecond of two stages.
std::vector<OperationTimeline> FakeRuntime::timeline(const SandboxId& sandbox) const {
  using std::chrono::microseconds;
  const std::vector<StageSpan> stages = {{"plan", microseconds(0), microseconds(400)},
                                         {"cni", microseconds(400), microseconds(600)},
                                         {"cni/bridge", microseconds(500), microseconds(300)}};
  std::vector<OperationTimeline> out;
  std::lock_guard lock(mutex_);
  const auto it = sandboxes_.find(sandbox.str());
  if (it == sandboxes_.end()) return out;
  out.push_back({"RunPodSandbox", "", "", it->second->created_at_ns, {}, microseconds(1000), stages});
  for (const auto& [id, view] : containers_)
    if (view->sandbox == sandbox)
      out.push_back(
          {"StartContainer", id, view->spec.metadata.name, view->created_at_ns, {}, microseconds(1000), stages});
  return out;
}

std::vector<ContainerStats> FakeRuntime::stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const {
  std::vector<ContainerStats> out;
  for (const auto& view : which)
    if (view->state == ContainerState::running)
      out.push_back({.container = view,
                     .timestamp_ns = clock_ns_,
                     .usage = CgroupStats{.cpu_usage_ns = 2'000'000'000,
                                          .memory_usage_bytes = 5 << 20,
                                          .memory_working_set_bytes = 3 << 20,
                                          .memory_limit_bytes = 8 << 20},
                     .usage_nano_cores = 250'000'000,
                     .layer = LayerUse{.bytes = 4096, .inodes = 7, .at_ns = clock_ns_}});
  return out;
}

std::vector<SandboxStats> FakeRuntime::sandbox_stats(
    const std::vector<std::shared_ptr<const SandboxView>>& which) const {
  std::vector<SandboxStats> out;
  for (const auto& view : which) {
    SandboxStats one{.sandbox = view, .timestamp_ns = clock_ns_, .tasks = 4};
    for (const auto& container : containers_of(view->id))
      for (auto& stats : this->stats({container})) one.containers.push_back(std::move(stats));
    one.usage = CgroupStats{.cpu_usage_ns = 3'000'000'000, .memory_working_set_bytes = 6 << 20};
    one.links = {{.name = "eth0", .rx_bytes = 1000, .tx_bytes = 2000}, {.name = "net1", .rx_bytes = 7}};
    out.push_back(std::move(one));
  }
  return out;
}

NodeMetrics FakeRuntime::metrics() const {
  NodeMetrics out{.layers = FilesystemSpace{.device = "/dev/vda", .bytes = 1 << 30, .inodes = 100, .inodes_free = 60}};
  for (auto& pod : sandbox_stats(snapshot()->sandboxes)) {
    SandboxMetrics one{.sandbox = pod.sandbox, .links = pod.links};
    for (auto& stats : pod.containers)
      one.containers.push_back({.stats = stats,
                                .cgroup_path = "/pods/" + stats.container->id.str(),
                                .detail = {.cpu_user_ns = 1'500'000'000,
                                           .memory_kernel_bytes = 12,
                                           .memory_peak_bytes = 13,
                                           .threads = 9,
                                           .blocks = {{.major = 8, .minor = 1, .device = "/dev/sda1", .reads = 5}}},
                                .processes = {.processes = 3, .file_descriptors = 20, .sockets = 2}});
    out.sandboxes.push_back(std::move(one));
  }
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
