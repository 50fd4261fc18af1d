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

// ".../podshim-<instance>-<container id>/exec-3"
pid_t pid_of_exec(const std::string& path) {
  const auto at = path.rfind("/exec-");
  return 1000 + (at == std::string::npos ? 0 : std::stoi(path.substr(at + 6)));
}
ContainerId container_of_exec(const std::string& path) {
  return *ContainerId::parse(path.substr(path.rfind('/') - 64, 64));
}

class FakeMonitor : public MonitorProcess {
 public:
  FakeMonitor(Machine& m, SandboxId id) : m_(m), id_(std::move(id)) {}
  Result<sys::ProcessId> start_pause(const Program&, CloneConfig) override {
    TRY(m_.step("start pause"));
    return sys::ProcessId{.pid = 11, .start_ticks = 1};
  }
  Result<> set_shm(Fd) override { return m_.step("set shm"); }
  Result<> create_container(const ContainerId& id, Fd, std::vector<Fd>) override {
    TRY(m_.step("create container"));
    std::lock_guard lock(m_.mutex);
    m_.roots[id_.str()].insert(id.str());
    return {};
  }
  Result<sys::ProcessId> start_container(const ContainerId& id, const Program&, CloneConfig, const ContainerStdio&,
                                         const std::string&, const std::string&) override {
    TRY(m_.step("start container"));
    std::unique_lock lock(m_.mutex);
    if (m_.hang_starts) {
      m_.hanging[id.str()] = m_.opened;
      m_.changed.notify_all();
      m_.changed.wait(
          lock, [&] { return !m_.hang_starts || !m_.hanging.contains(id.str()) || !m_.monitors.contains(id_.str()); });
      if (m_.hanging.erase(id.str()) == 0 || !m_.monitors.contains(id_.str()))
        return fail(Error::of(ErrorKind::unavailable, "start", "child", "killed before exec"));
    }
    for (const auto& path : m_.cgroups)
      if (path.ends_with(id.str())) m_.running[id.str()] = path;
    return sys::ProcessId{.pid = 1 << 30, .start_ticks = 1};  // no such process
  }
  Result<> signal_container(const ContainerId& id, int signal) override {
    TRY(m_.step("signal"));
    if (signal == 9 && m_.undying.empty()) m_.end(id_, id, 137, 9);
    return {};
  }
  Result<> remove_container(const ContainerId& id) override {
    std::lock_guard lock(m_.mutex);
    m_.roots[id_.str()].erase(id.str());
    return {};
  }
  Result<> reopen_log(const ContainerId& id) override {
    std::lock_guard lock(m_.mutex);
    m_.reopened.push_back(id.str());
    return {};
  }
  Result<Exec> start_exec(const ContainerId&, const Program&, CloneConfig, Fd, Fd, Fd, bool,
                          std::function<void(Result<int>)> done, const ExecWait& wait) override {
    TRY(m_.step("start exec"));
    if (m_.hang_execs) {
      const std::stop_callback wake(wait.given_up, [&] {
        std::lock_guard lock(m_.mutex);
        m_.changed.notify_all();
      });
      std::unique_lock lock(m_.mutex);
      const std::string path = m_.opened;
      m_.hanging[path] = path;
      m_.changed.notify_all();
      const auto ended = [&] { return !m_.hanging.contains(path) || wait.given_up.stop_requested(); };
      const bool in_time = m_.changed.wait_for(lock, wait.patience, ended);
      if (!m_.hanging.contains(path))
        return fail(Error::of(ErrorKind::unavailable, "start", "child", "killed before exec"));
      return fail(
          Error::of(in_time ? ErrorKind::cancelled : ErrorKind::deadline_exceeded, "monitor", id_.str(), "no answer"));
    }
    if (m_.long_execs) {
      std::lock_guard lock(m_.mutex);
      m_.execs[m_.opened] = std::move(done);
      return Exec{.id = 1};
    }
    done(0);
    return Exec{.id = 1};
  }
  Result<> kill_exec(std::uint64_t) override { return {}; }
  Result<Fd> attach(const ContainerId& id, AttachPipes pipes, std::function<void(Result<int>)> done) override {
    TRY(m_.step("attach"));
    std::lock_guard lock(m_.mutex);
    m_.attached.push_back({.container = id.str(), .pipes = std::move(pipes), .done = std::move(done)});
    return m_.attached.back().pipes.in ? sys::open("/dev/null", O_WRONLY) : Fd();
  }
  Result<> close_stdin(const ContainerId& id) override {
    std::lock_guard lock(m_.mutex);
    m_.closed_stdin.push_back(id.str());
    return {};
  }
  Result<MonitorState> state(milliseconds) override {
    auto out = told_state();
    if (m_.state_told) m_.state_told();
    return out;
  }
  MonitorState told_state() {
    std::lock_guard lock(m_.mutex);
    MonitorState out{.monitor = process(), .pause = {.pid = 11, .start_ticks = 1}, .pause_running = true};
    for (const auto& id : m_.roots[id_.str()])
      out.containers.push_back(
          {.id = *ContainerId::parse(id),
           .state = m_.running.contains(id) ? MonitorContainer::State::running : MonitorContainer::State::created});
    for (const auto& [path, done] : m_.execs)
      out.execs.push_back({.id = 1,
                           .container = container_of_exec(path),
                           .process = {.pid = pid_of_exec(path), .start_ticks = 1},
                           .exit_code = {}});
    return out;
  }
  Result<> shutdown(milliseconds) override {
    std::lock_guard lock(m_.mutex);
    for (const auto& id : m_.roots[id_.str()])
      if (m_.hanging.contains(id))
        return fail(Error::of(ErrorKind::failed_precondition, "shut down", id, "it is running"));
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
      if (verb == "DEL" && m_.fail_del)
        return cni::PluginAnswer{.wait_status = 1 << 8, .out = R"({"cniVersion":"1.0.0","code":11,"msg":"later"})"};
      if (verb == "DEL") m_.addresses.erase(id);
    }
    if (verb == "ADD") TRY(m_.step("CNI ADD"));
    std::lock_guard lock(m_.mutex);
    return cni::PluginAnswer{.out = R"({"cniVersion":"1.1.0",)" + m_.interfaces +
                                    R"("ips":[{"address":"10.42.0.5/16"}]})"};
  }
  Result<std::unique_ptr<cni::WaitingPlugin>> start(const cni::PluginCall& call) override {
    return fail(Error::sys("start plugin", call.program, {}, ENOSYS));  // these say nothing of waiting
  }

 private:
  Machine& m_;
};

class FakeStats : public StatsSource {
 public:
  FakeStats(Machine& m, std::string path) : m_(m), path_(std::move(path)) {}
  Result<CgroupStats> read(const CgroupStats* last) const override {
    std::lock_guard lock(m_.mutex);
    if (last == nullptr) m_.whole_readings++;
    auto at = m_.usage.find(path_);
    if (at == m_.usage.end()) return CgroupStats{.cpu_usage_ns = 7, .memory_usage_bytes = 10};
    return at->second;
  }
  Result<std::uint64_t> tasks() const override { return 2; }

 private:
  Machine& m_;
  const std::string path_;
};

class FakeHost : public Host {
 public:
  explicit FakeHost(Machine& m) : m_(m), plugins_(m) {}
  ~FakeHost() override {
    for (auto& [path, done] : m_.execs) done = nullptr;  // who waited goes
  }
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
  Result<std::shared_ptr<MonitorProcess>> connect_monitor(const SandboxId& id, const std::string&,
                                                          milliseconds) override {
    std::lock_guard lock(m_.mutex);
    if (m_.silent_monitors) return fail(Error::of(ErrorKind::deadline_exceeded, "monitor", id.str(), "no answer"));
    if (!m_.monitors.contains(id.str())) return fail(Error::sys("connect", id.str(), {}, ECONNREFUSED));
    return std::make_shared<FakeMonitor>(m_, id);
  }
  Result<bool> has_ended(const sys::ProcessId& process) override {
    std::lock_guard lock(m_.mutex);
    if (process.pid == 1 << 30) return m_.undying.empty();  // a container's: see start_container()
    if (m_.silent_monitors) return false;
    return m_.monitors.empty() || process.pid == 0;
  }
  Result<> kill_process(const sys::ProcessId& process, milliseconds deadline) override {
    std::lock_guard lock(m_.mutex);
    if (process.pid != 1 << 30 || m_.undying.empty()) return {};  // its end is told with its cgroup's
    m_.waited += deadline;
    return fail(Error::of(ErrorKind::deadline_exceeded, "kill process", "container", "it stays"));
  }
  Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan) override {
    {
      std::lock_guard lock(m_.mutex);
      m_.cgroups.insert(plan.paths.path);
    }
    TRY(m_.step("apply cgroup"));  // half made
    return CgroupApplied{};
  }
  Result<CgroupContents> read_cgroup_files(const std::vector<std::string>& files) override {
    std::lock_guard lock(m_.mutex);
    CgroupContents out;
    for (const auto& file : files) out[file] = m_.files[file];
    return out;
  }
  Result<> apply_cgroup_update(const CgroupUpdatePlan& plan) override {
    TRY(m_.step("apply cgroup update"));
    std::lock_guard lock(m_.mutex);
    for (const auto& write : plan.writes) m_.files[write.step.path] = write.step.value;
    return {};
  }
  Result<Fd> open_cgroup(const CgroupPaths& paths) override {
    TRY(m_.step("open cgroup"));
    std::lock_guard lock(m_.mutex);
    m_.opened = paths.path;
    return Fd();
  }
  Result<bool> cgroup_populated(const CgroupPaths& paths) override {
    std::lock_guard lock(m_.mutex);
    for (const auto* all : {&m_.running, &m_.hanging})
      for (const auto& [id, path] : *all)
        if (path == paths.path) return true;
    return m_.execs.contains(paths.path) || m_.left_running.contains(paths.path);
  }
  Result<std::vector<pid_t>> cgroup_pids(const CgroupPaths& paths) override {
    std::lock_guard lock(m_.mutex);
    if (!m_.execs.contains(paths.path)) return std::vector<pid_t>{};
    return std::vector<pid_t>{pid_of_exec(paths.path)};
  }
  Result<> kill_cgroup(const CgroupPaths& paths, milliseconds deadline) override {
    std::string victim;
    std::function<void(Result<int>)> exec_ended;
    {
      std::lock_guard lock(m_.mutex);
      m_.kills++;
      if (!m_.dies(paths.path)) m_.waited += deadline;
      if (!m_.dies(paths.path))
        return fail(Error::of(ErrorKind::deadline_exceeded, "kill cgroup", paths.path, "processes stay"));
      std::erase_if(m_.hanging, [&](const auto& start) { return start.second == paths.path; });
      m_.left_running.erase(paths.path);
      if (auto node = m_.execs.extract(paths.path)) exec_ended = std::move(node.mapped());
      for (const auto& [id, path] : m_.running)
        if (path == paths.path) victim = id;
      if (m_.monitors.empty() && m_.running.erase(victim) != 0) victim.clear();  // nobody tells of its end
      for (const auto& id : std::set<std::string>(m_.monitors))
        if (paths.path.ends_with(id)) m_.monitors.erase(id);
      m_.changed.notify_all();
    }
    if (exec_ended) exec_ended(137);
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
  Result<std::vector<std::string>> find_cgroup_parents() override {
    std::lock_guard lock(m_.mutex);
    m_.walks++;
    std::set<std::string> out;
    for (const auto& path : m_.cgroups) out.insert(path.substr(0, path.rfind('/')));
    return std::vector<std::string>(out.begin(), out.end());
  }
  Result<std::unique_ptr<StatsSource>> open_stats(const CgroupPaths& paths) override {
    return std::make_unique<FakeStats>(m_, paths.path);
  }
  Result<CgroupDetail> read_detail(const CgroupPaths&) override { return CgroupDetail{.pids = {7}}; }
  ProcessCensus count_processes(const std::vector<std::int32_t>& pids) override { return {.processes = pids.size()}; }
  Result<std::vector<NodeLink>> node_links() override {
    std::lock_guard lock(m_.mutex);
    return m_.links;
  }
  Result<std::unique_ptr<LinkCounters>> open_links(const std::string& netns) override {
    return fail(Error::sys("open", netns, {}, ENOENT));
  }
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
  Result<Terminal> open_terminal(const sys::ProcessId&) override {
    TRY(m_.step("open terminal"));
    return Terminal{.master = TRY(sys::open("/dev/null", O_RDWR)), .slave = TRY(sys::open("/dev/null", O_RDWR))};
  }
  Result<Fd> dial(const std::string& path, std::uint16_t port) override {
    TRY(m_.step("dial"));
    std::lock_guard lock(m_.mutex);
    m_.dialed.push_back(path + ":" + std::to_string(port));
    return sys::open("/dev/null", O_RDONLY);
  }
  Result<Fd> make_shm() override {
    TRY(m_.step("make shm"));
    return sys::open("/dev/null", O_RDONLY);
  }
  Result<std::vector<MountLook>> mount_looks(const SandboxSpec&, const ContainerSpec& container,
                                             const SandboxFacts&) override {
    std::vector<MountLook> out = {{.path = "/", .look = [&m = m_] { return m.step("check mounts"); }}};
    for (const auto& mount : container.mounts) out.push_back(look_at(mount.host_path));
    return out;
  }
  std::vector<MountLook> device_looks(const ContainerSpec& container,
                                      const std::shared_ptr<std::vector<DeviceNode>>&) override {
    std::vector<MountLook> out = {{.path = "/dev", .look = [&m = m_] { return m.step("observe devices"); }}};
    for (const auto& device : container.devices) out.push_back(look_at(device.host_path));
    return out;
  }
  MountLook log_look(const std::string& log_path) override {
    auto out = look_at(log_path.substr(0, log_path.rfind('/')));
    out.what = "log directory";
    return out;
  }
  cni::PluginRunner& plugins() override { return plugins_; }

 private:
  MountLook look_at(const std::string& path) {
    return {.path = path, .look = [&m = m_, path] {
              std::unique_lock lock(m.mutex);
              m.looking++;
              m.changed.notify_all();
              m.changed.wait(lock, [&] { return m.silent.empty() || !path.starts_with(m.silent); });
              m.looking--;
              return Result<>();
            }};
  }

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
