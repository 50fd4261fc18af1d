#include "shim/lifecycle/host.h"

#include <signal.h>
#include <unistd.h>

#include <ctime>

#include "common/sys/file.h"
#include "shim/apply/dial.h"
#include "shim/apply/files.h"
#include "shim/apply/netns.h"

namespace podshim::lifecycle {
namespace {

constexpr milliseconds kDialPatience{5'000};

class CgroupStatsSource : public StatsSource {
 public:
  explicit CgroupStatsSource(CgroupStatsReader reader) : reader_(std::move(reader)) {}
  Result<CgroupStats> read(const CgroupStats* last) const override { return reader_.read(last); }
  Result<std::uint64_t> tasks() const override { return reader_.tasks(); }

 private:
  CgroupStatsReader reader_;
};

class MachineHost : public Host {
 public:
  MachineHost(const HostFacts& facts, std::string instance, HostOptions options)
      : facts_(facts), instance_(std::move(instance)), options_(std::move(options)) {}

  std::int64_t now_ns() const override {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  }
  std::string boot_id() const override {
    std::string text = sys::read_file(options_.boot_id_file, 256).value_or("");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  Result<> start_events(MonitorEvents& events) override {
    loop_ = TRY(make_monitor_loop(events, options_.monitor_binary));
    return {};
  }
  Result<std::shared_ptr<MonitorProcess>> launch_monitor(const MonitorLaunch& launch) override {
    return podshim::launch_monitor(*loop_, launch);
  }
  Result<std::shared_ptr<MonitorProcess>> connect_monitor(const SandboxId& id, const std::string& dir,
                                                          milliseconds patience) override {
    return podshim::connect_monitor(*loop_, id, dir, patience);
  }
  Result<bool> has_ended(const sys::ProcessId& process) override {
    if (process.pid <= 0) return true;
    auto pidfd = sys::pidfd_open(process);
    if (!pidfd && pidfd.error().is(ESRCH)) return true;
    return sys::pidfd_wait(TRY(std::move(pidfd)), milliseconds(0));
  }
  Result<> kill_process(const sys::ProcessId& process, milliseconds deadline) override {
    if (process.pid <= 0) return {};
    auto pidfd = sys::pidfd_open(process);
    if (!pidfd && pidfd.error().is(ESRCH)) return {};
    if (!pidfd) return fail(std::move(pidfd).error());
    auto sent = sys::pidfd_signal(*pidfd, SIGKILL);
    if (!sent && !sent.error().is(ESRCH)) return sent;
    if (TRY(sys::pidfd_wait(*pidfd, deadline))) return {};
    return fail(Error::of(ErrorKind::deadline_exceeded, "kill process", std::to_string(process.pid),
                          "it stays: uninterruptible sleep?"));
  }

  Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan) override {
    return podshim::apply_cgroup(plan, device_programs_);
  }
  Result<CgroupContents> read_cgroup_files(const std::vector<std::string>& files) override {
    return podshim::read_cgroup_files(files);
  }
  Result<> apply_cgroup_update(const CgroupUpdatePlan& plan) override { return podshim::apply_cgroup_update(plan); }
  Result<Fd> open_cgroup(const CgroupPaths& paths) override { return podshim::open_cgroup(paths); }
  Result<bool> cgroup_populated(const CgroupPaths& paths) override { return podshim::cgroup_populated(paths); }
  Result<std::vector<pid_t>> cgroup_pids(const CgroupPaths& paths) override { return podshim::cgroup_pids(paths); }
  Result<> kill_cgroup(const CgroupPaths& paths, milliseconds deadline) override {
    return podshim::kill_cgroup(paths, facts_.cgroup_kill, deadline);
  }
  Result<> remove_cgroup(const CgroupPaths& paths, milliseconds deadline) override {
    return podshim::remove_cgroup(paths, deadline);
  }
  Result<std::vector<std::string>> list_cgroups(const std::string& parent) override {
    return podshim::list_cgroups(facts_, parent, instance_);
  }
  Result<std::vector<std::string>> find_cgroup_parents() override {
    return podshim::find_cgroup_parents(facts_, instance_);
  }
  Result<std::unique_ptr<StatsSource>> open_stats(const CgroupPaths& paths) override {
    return std::make_unique<CgroupStatsSource>(TRY(CgroupStatsReader::open(paths)));
  }
  Result<CgroupDetail> read_detail(const CgroupPaths& paths) override { return read_cgroup_detail(paths); }
  ProcessCensus count_processes(const std::vector<std::int32_t>& pids) override {
    return podshim::count_processes(pids);
  }
  Result<std::vector<NodeLink>> node_links() override { return LinkCounters::of_node(); }
  Result<std::unique_ptr<LinkCounters>> open_links(const std::string& netns_path) override {
    return LinkCounters::open_in(netns_path);
  }

  Result<std::string> bind_netns(pid_t pid, const std::string& name) override {
    return podshim::bind_netns(pid, options_.netns_dir, name);
  }
  Result<> unbind_netns(const std::string& name) override { return podshim::unbind_netns(options_.netns_dir, name); }
  std::string netns_path(const std::string& name) const override { return options_.netns_dir + "/" + name; }
  Result<std::vector<std::string>> list_netns() override { return sys::list_dir(options_.netns_dir); }

  Result<Terminal> open_terminal(const sys::ProcessId& process) override { return open_container_terminal(process); }
  Result<Fd> dial(const std::string& netns_path, std::uint16_t port) override {
    return dial_local(netns_path, port, kDialPatience);
  }

  Result<Fd> make_shm() override { return podshim::make_shm(); }
  Result<std::vector<MountLook>> mount_looks(const SandboxSpec& sandbox, const ContainerSpec& container,
                                             const SandboxFacts& facts) override {
    return podshim::mount_looks(sandbox, container, facts);
  }
  std::vector<MountLook> device_looks(const ContainerSpec& container,
                                      const std::shared_ptr<std::vector<DeviceNode>>& out) override {
    return podshim::device_looks(container, out);
  }
  MountLook log_look(const std::string& log_path) override { return podshim::log_look(log_path); }

  cni::PluginRunner& plugins() override { return plugins_; }

 private:
  const HostFacts facts_;
  const std::string instance_;
  const HostOptions options_;
  DevicePrograms device_programs_;
  cni::ExecRunner plugins_;
  std::unique_ptr<MonitorLoop> loop_;
};

Result<std::string> beside_this_program(const std::string& name) {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return fail(Error::sys("readlink", "/proc/self/exe"));
  std::string self(path, static_cast<std::size_t>(n));
  return self.substr(0, self.rfind('/') + 1) + name;
}

}  // namespace

Result<std::unique_ptr<Host>> make_host(const HostFacts& facts, const std::string& instance, HostOptions options) {
  if (options.monitor_binary.empty()) options.monitor_binary = TRY(beside_this_program("podshim-monitor"));
  TRY(prepare_netns_dir(options.netns_dir));
  return std::make_unique<MachineHost>(facts, instance, std::move(options));
}

}  // namespace podshim::lifecycle
