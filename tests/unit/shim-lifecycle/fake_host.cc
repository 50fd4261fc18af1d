#include "tests/unit/shim-lifecycle/fake_host.h"

#include "common/json.h"
#include "common/sys/file.h"

namespace podshim::lifecycle::test {

Result<> Machine::step(const std::string& what) {
  std::lock_guard lock(mutex);
  if (++calls != fail_at) return {};
  failed = what;
  return fail(Error::sys("fake", what, {}, EIO));
}

void Machine::end(const SandboxId& sandbox, const ContainerId& id, int code, int signal) {
  {
    std::lock_guard lock(mutex);
    if (running.erase(id.str()) == 0) return;
  }
  events->container_exited(sandbox, {.id = id, .exit_code = code, .signal = signal, .finished_at_ns = ++clock});
}

std::vector<std::string> Machine::left() {
  std::lock_guard lock(mutex);
  std::vector<std::string> out;
  for (const auto& [what, names] :
       {std::pair{"cgroup ", &cgroups}, {"netns ", &netns}, {"monitor ", &monitors}, {"address ", &addresses}})
    for (const auto& name : *names) out.push_back(what + name);
  for (const auto& [id, cgroup] : running) out.push_back("process " + id);
  return out;
}

namespace {

class FakeMonitor : public MonitorProcess {
 public:
  FakeMonitor(Machine& m, SandboxId id) : m_(m), id_(std::move(id)) {}
  Result<sys::ProcessId> start_pause(const Program&, CloneConfig) override {
    TRY(m_.step("start pause"));
    return sys::ProcessId{.pid = 11, .start_ticks = 1};
  }
  Result<> set_shm(Fd) override { return m_.step("set shm"); }
  Result<> create_container(const ContainerId& id, Fd) override {
    TRY(m_.step("create container"));
    std::lock_guard lock(m_.mutex);
    m_.roots[id_.str()].insert(id.str());
    return {};
  }
  Result<sys::ProcessId> start_container(const ContainerId& id, const Program&, CloneConfig, const ContainerStdio&,
                                         const std::string&, const std::string&) override {
    TRY(m_.step("start container"));
    std::lock_guard lock(m_.mutex);
    for (const auto& path : m_.cgroups)
      if (path.ends_with(id.str())) m_.running[id.str()] = path;
    return sys::ProcessId{.pid = 1 << 30, .start_ticks = 1};  // no such process
  }
  Result<> signal_container(const ContainerId& id, int signal) override {
    TRY(m_.step("signal"));
    if (signal == 9) m_.end(id_, id, 137, 9);
    return {};
  }
  Result<> remove_container(const ContainerId& id) override {
    std::lock_guard lock(m_.mutex);
    m_.roots[id_.str()].erase(id.str());
    return {};
  }
  Result<> reopen_log(const ContainerId&) override { return {}; }
  Result<Exec> start_exec(const ContainerId&, const Program&, CloneConfig, Fd, Fd, Fd, bool,
                          std::function<void(Result<int>)> done) override {
    TRY(m_.step("start exec"));
    done(0);
    return Exec{.id = 1};
  }
  Result<> kill_exec(std::uint64_t) override { return {}; }
  Result<MonitorState> state() override {
    std::lock_guard lock(m_.mutex);
    MonitorState out{.monitor = process(), .pause = {.pid = 11, .start_ticks = 1}, .pause_running = true};
    for (const auto& id : m_.roots[id_.str()])
      out.containers.push_back(
          {.id = *ContainerId::parse(id),
           .state = m_.running.contains(id) ? MonitorContainer::State::running : MonitorContainer::State::created});
    return out;
  }
  Result<> shutdown(milliseconds) override {
    std::lock_guard lock(m_.mutex);
    m_.monitors.erase(id_.str());
    return {};
  }
  sys::ProcessId process() const override { return {.pid = 10, .start_ticks = 1}; }

 private:
  Machine& m_;
  const SandboxId id_;
};

class FakePlugins : public cni::PluginRunner {
 public:
  explicit FakePlugins(Machine& m) : m_(m) {}
  Result<cni::PluginAnswer> run(const cni::PluginCall& call) override {
    std::string verb, id;
    for (const auto& e : call.environment) {
      if (e.starts_with("CNI_COMMAND=")) verb = e.substr(12);
      if (e.starts_with("CNI_CONTAINERID=")) id = e.substr(16);
    }
    // The address is taken before the plugin fails: what it left must be freed by DEL.
    {
      std::lock_guard lock(m_.mutex);
      m_.plugin_calls.push_back(verb + " " + id);
      if (verb == "ADD") m_.addresses.insert(id);
      if (verb == "DEL") m_.addresses.erase(id);
    }
    if (verb == "ADD") TRY(m_.step("CNI ADD"));
    return cni::PluginAnswer{.out = R"({"cniVersion":"1.1.0","ips":[{"address":"10.42.0.5/16"}]})"};
  }

 private:
  Machine& m_;
};

class NoStats : public StatsSource {
 public:
  Result<CgroupStats> read() const override { return CgroupStats{.cpu_usage_ns = 7}; }
};

class FakeHost : public Host {
 public:
  explicit FakeHost(Machine& m) : m_(m), plugins_(m) {}
  std::int64_t now_ns() const override {
    std::lock_guard lock(m_.mutex);
    return ++m_.clock;
  }
  std::string boot_id() const override { return m_.boot; }
  Result<> start_events(MonitorEvents& events) override {
    m_.events = &events;
    return {};
  }
  Result<std::shared_ptr<MonitorProcess>> launch_monitor(const MonitorLaunch& launch) override {
    TRY(m_.step("launch monitor"));
    std::lock_guard lock(m_.mutex);
    m_.monitors.insert(launch.id.str());
    return std::make_shared<FakeMonitor>(m_, launch.id);
  }
  Result<std::shared_ptr<MonitorProcess>> connect_monitor(const SandboxId& id, const std::string&) override {
    std::lock_guard lock(m_.mutex);
    if (!m_.monitors.contains(id.str())) return fail(Error::sys("connect", id.str(), {}, ECONNREFUSED));
    return std::make_shared<FakeMonitor>(m_, id);
  }
  Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan) override {
    {
      std::lock_guard lock(m_.mutex);
      m_.cgroups.insert(plan.paths.path);
    }
    TRY(m_.step("apply cgroup"));  // half made
    return CgroupApplied{};
  }
  Result<Fd> open_cgroup(const CgroupPaths&) override {
    TRY(m_.step("open cgroup"));
    return Fd();
  }
  Result<bool> cgroup_populated(const CgroupPaths& paths) override {
    std::lock_guard lock(m_.mutex);
    for (const auto& [id, path] : m_.running)
      if (path == paths.path) return true;
    return false;
  }
  Result<> kill_cgroup(const CgroupPaths& paths, milliseconds) override {
    std::string victim;
    {
      std::lock_guard lock(m_.mutex);
      for (const auto& [id, path] : m_.running)
        if (path == paths.path) victim = id;
      for (const auto& id : std::set<std::string>(m_.monitors))
        if (paths.path.ends_with(id)) m_.monitors.erase(id);
    }
    if (!victim.empty()) m_.end(SandboxId(), *ContainerId::parse(victim), 137, 9);
    return {};
  }
  Result<> remove_cgroup(const CgroupPaths& paths, milliseconds) override {
    std::lock_guard lock(m_.mutex);
    m_.cgroups.erase(paths.path);
    return {};
  }
  Result<std::vector<std::string>> list_cgroups(const std::string& parent) override {
    std::lock_guard lock(m_.mutex);
    std::vector<std::string> out;
    for (const auto& path : m_.cgroups)
      if (path.substr(0, path.rfind('/')) == parent) out.push_back(path.substr(path.rfind('/') + 1));
    return out;
  }
  Result<std::unique_ptr<StatsSource>> open_stats(const CgroupPaths&) override { return std::make_unique<NoStats>(); }
  Result<std::string> bind_netns(pid_t, const std::string& name) override {
    TRY(m_.step("bind netns"));
    std::lock_guard lock(m_.mutex);
    m_.netns.insert(name);
    return netns_path(name);
  }
  Result<> unbind_netns(const std::string& name) override {
    std::lock_guard lock(m_.mutex);
    m_.netns.erase(name);
    return {};
  }
  std::string netns_path(const std::string& name) const override { return "/fake/netns/" + name; }
  Result<std::vector<std::string>> list_netns() override {
    std::lock_guard lock(m_.mutex);
    return std::vector<std::string>(m_.netns.begin(), m_.netns.end());
  }
  Result<Fd> make_shm() override {
    TRY(m_.step("make shm"));
    return sys::open("/dev/null", O_RDONLY);
  }
  Result<> check_mount_sources(const SandboxSpec&, const ContainerSpec&, const SandboxFacts&) override {
    return m_.step("check mounts");
  }
  Result<std::vector<DeviceNode>> observe_devices(const ContainerSpec&) override {
    TRY(m_.step("observe devices"));
    return std::vector<DeviceNode>{};
  }
  cni::PluginRunner& plugins() override { return plugins_; }

 private:
  Machine& m_;
  FakePlugins plugins_;
};

class FakeImages : public ImageStore {
 public:
  FakeImages(Machine& m, std::string root) : m_(m), root_(std::move(root)) {}
  Result<std::vector<Image>> import(const std::string&) override { return std::vector<Image>{}; }
  std::optional<Image> find(const std::string& reference) const override {
    if (reference != "busybox") return std::nullopt;
    return Image{.id = "sha256:1", .repo_digests = {"busybox@sha256:2"}, .process = {.cmd = {"sh"}}};
  }
  std::vector<Image> list() const override { return {}; }
  Result<> remove(const std::string&) override { return {}; }
  Result<FsUsage> usage() const override { return FsUsage{}; }
  Result<Fd> mount_rootfs(const Image&, const std::string& dir) override {
    TRY(sys::make_dir(dir + "/upper"));
    TRY(m_.step("mount rootfs"));
    return sys::open(root_, O_PATH | O_DIRECTORY);
  }

 private:
  Machine& m_;
  const std::string root_;
};

}  // namespace

std::unique_ptr<Host> fake_host(Machine& machine) { return std::make_unique<FakeHost>(machine); }
std::unique_ptr<ImageStore> fake_images(Machine& machine, const std::string& root) {
  return std::make_unique<FakeImages>(machine, root);
}

}  // namespace podshim::lifecycle::test
