#include "shim/lifecycle/node_runtime.h"

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::lifecycle {
namespace {

constexpr milliseconds kFirstVerdict{500};

}  // namespace

NodeRuntime::NodeRuntime(Parts parts, state::Journal journal)
    : parts_(std::move(parts)),
      journal_(std::move(journal)),
      networks_(parts_.host->plugins(), parts_.config.podshim, parts_.config.podshim.root + "/pod-cidr"),
      mount_looks_(parts_.mount_looks),
      quarantined_(parts_.quarantined) {
  if (parts_.stages) observe_stages(parts_.stages);
}

Result<std::unique_ptr<NodeRuntime>> NodeRuntime::start(Parts parts) {
  const PodshimConfig& config = parts.config.podshim;
  for (const char* dir : {"/sandboxes", "/exits", "/kills", "/staging"}) TRY(sys::make_dirs(config.state + dir, 0711));
  auto journal = TRY(state::Journal::open(config.root));
  if (!parts.instance.replaced().empty())
    log::error("the instance id was lost", {{"why", parts.instance.replaced()}, {"id", parts.instance.id()}});
  std::unique_ptr<NodeRuntime> out(new NodeRuntime(std::move(parts), std::move(journal)));
  TRY(out->host().start_events(*out));
  TRY(out->recover());
  log::info("runtime ready", {{"instance", out->instance()},
                              {"sandboxes", out->snapshot()->sandboxes.size()},
                              {"containers", out->snapshot()->containers.size()},
                              {"set-aside", out->quarantined_.size()}});
  if (out->parts_.housekeeping) out->housekeeper_ = std::thread([r = out.get()] { r->housekeeping(); });
  return out;
}

// The Pods stay. Order: nobody starts new work, chores end, monitors are let go, the loop that calls us ends.
NodeRuntime::~NodeRuntime() {
  {
    std::lock_guard lock(wake_);
    stopping_ = true;
  }
  woken_signal_.notify_all();
  if (housekeeper_.joinable()) housekeeper_.join();
  chores_.stop();
  kills_.stop();
  stream_chores_.stop();
  plugin_chores_.stop();
  for (const auto& sandbox : table_.sandboxes()) {
    std::shared_ptr<MonitorProcess> last;  // the ends of its sessions are told without the lock
    std::lock_guard lock(sandbox->mutex);
    last.swap(sandbox->monitor);
  }
  parts_.host = nullptr;
}

void NodeRuntime::wait_idle() {
  chores_.wait_idle();
  kills_.wait_idle();
  chores_.wait_idle();  // what ended kills posted
  stream_chores_.wait_idle();
  plugin_chores_.wait_idle();
}

void NodeRuntime::wake_housekeeping() {
  {
    std::lock_guard lock(wake_);
    woken_ = true;
  }
  woken_signal_.notify_all();
}

Result<std::shared_ptr<Sandbox>> NodeRuntime::find_sandbox(const std::string& id) const {
  auto found = TRY(table_.sandbox(id));
  if (!found) return fail(Error::of(ErrorKind::not_found, "sandbox", id, "no such sandbox"));
  return found;
}

Result<std::shared_ptr<Container>> NodeRuntime::find_container(const std::string& id) const {
  auto found = TRY(table_.container(id));
  if (!found) return fail(Error::of(ErrorKind::not_found, "container", id, "no such container"));
  return found;
}

Result<std::shared_ptr<const SandboxView>> NodeRuntime::sandbox(const std::string& id) const {
  return TRY(find_sandbox(id))->view();
}

Result<std::shared_ptr<const ContainerView>> NodeRuntime::container(const std::string& id) const {
  return TRY(find_container(id))->view();
}

std::vector<std::shared_ptr<const ContainerView>> NodeRuntime::containers_of(const SandboxId& sandbox) const {
  std::vector<std::shared_ptr<const ContainerView>> out;
  for (const auto& container : table_.containers_of(sandbox)) out.push_back(container->view());
  return out;
}

Result<std::shared_ptr<MonitorProcess>> NodeRuntime::monitor_of(const Sandbox& sandbox) const {
  std::lock_guard lock(sandbox.mutex);
  // While it is being built, a sandbox is not in the table: whoever finds one finds it complete.
  if (sandbox.record.ready && !sandbox.stopping && sandbox.monitor) return sandbox.monitor;
  if (sandbox.record.ready && !sandbox.stopping)
    return fail(Error::of(ErrorKind::unavailable, "sandbox", sandbox.id.str(),
                          "its monitor does not answer yet; it is asked again each second"));
  return fail(Error::of(ErrorKind::failed_precondition, "sandbox", sandbox.id.str(),
                        sandbox.stopping && sandbox.record.ready ? "is being stopped" : "is not ready"));
}

Result<> NodeRuntime::persist(Sandbox& sandbox) {
  std::lock_guard one(sandbox.writing);
  {
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.removed) return {};
  }
  return journal_.write(sandbox.copy());
}

Result<> NodeRuntime::persist(Container& container) {
  std::lock_guard one(container.writing);
  {
    std::lock_guard lock(container.mutex);
    if (container.removed) return {};
  }
  return journal_.write(container.copy());
}

void NodeRuntime::publish(const Sandbox& sandbox) {
  published_.put_sandbox([&]() -> std::shared_ptr<const SandboxView> {
    std::lock_guard lock(sandbox.mutex);
    return sandbox.removed ? nullptr : view_of(sandbox.record);
  });
}

void NodeRuntime::publish(const Container& container) {
  published_.put_container([&]() -> std::shared_ptr<const ContainerView> {
    std::lock_guard lock(container.mutex);
    return container.removed ? nullptr : view_of(container.record);
  });
}

void NodeRuntime::warn_once(const std::string& what) {
  {
    std::lock_guard lock(notes_);
    if (!warnings_.insert(what).second) return;
  }
  log::warn("host finding", {{"what", what}});
}

void NodeRuntime::tolerate(const CgroupApplied& applied) {
  for (const auto& error : applied.tolerated) {
    // One line a kind of file, not one a container.
    const auto slash = error.subject.rfind('/');
    warn_once(std::string(error.op) + " " +
              (slash == std::string::npos ? error.subject : error.subject.substr(slash + 1)) + ": " +
              errno_name(error.code));
  }
}

Rollback NodeRuntime::rollback(const std::string& of) const {
  return Rollback([of](const std::string& step, const Error& error) {
    log::warn("roll back", {{"of", of}, {"step", step}, {"error", error.text()}});
  });
}

CgroupPaths NodeRuntime::cgroup_of(const state::SandboxRecord& sandbox, const ContainerId& id) const {
  return container_cgroup_paths(parts_.facts, sandbox.cgroup_parent, instance(), id);
}

CgroupPaths NodeRuntime::monitor_cgroup(const SandboxId& id) const {
  return monitor_cgroup_paths(parts_.facts, instance(), id);
}

Result<> NodeRuntime::reopen_log(const std::string& id) {
  auto container = TRY(find_container(id));
  if (container->state() != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "reopen log", id, "the container is not running"));
  auto monitor = TRY(monitor_of(*container->sandbox));
  // As at the start: the monitor opens the file, and all of the Pod would hang with it.
  const auto& path = container->record.log_path;
  if (!path.empty()) TRY(mount_looks_.run({host().log_look(path)}, "log directory"));
  return monitor->reopen_log(container->id);
}

RuntimeStatus NodeRuntime::status() const {
  RuntimeStatus out{.runtime = {.ok = true}, .recursive_readonly = parts_.facts.recursive_readonly};
  out.network = networks_.health(kFirstVerdict, [this] { const_cast<NodeRuntime*>(this)->wake_housekeeping(); });
  std::lock_guard lock(notes_);
  out.quarantined = quarantined_;
  out.warnings.assign(warnings_.begin(), warnings_.end());
  return out;
}

}  // namespace podshim::lifecycle

namespace podshim {

Result<std::unique_ptr<Runtime>> make_runtime(const Config& config, const HostFacts& facts,
                                              std::unique_ptr<ImageStore> images, std::vector<std::string> quarantined,
                                              const RuntimeOptions& options) {
  auto instance = TRY(state::Instance::open(config.podshim.root, config.podshim.state));
  auto host = TRY(lifecycle::make_host(facts, instance.id(),
                                       {.monitor_binary = options.monitor_binary,
                                        .netns_dir = options.netns_dir,
                                        .boot_id_file = options.boot_id_file}));
  return TRY(lifecycle::NodeRuntime::start({.config = config,
                                            .facts = facts,
                                            .images = std::move(images),
                                            .host = std::move(host),
                                            .instance = std::move(instance),
                                            .quarantined = std::move(quarantined),
                                            .stages = options.stages}));
}

}  // namespace podshim
