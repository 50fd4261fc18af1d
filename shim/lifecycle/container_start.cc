// StartContainer: plan again (the host may have changed since create), make the cgroup, let the monitor clone.
// A start that got as far as touching the machine and failed ends the container: EXITED, reason StartError, code 128,
// with the error as its message, which is what kubelets show.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

constexpr std::int32_t kStartErrorCode = 128;

// A program, working directory or mount source that is not there is what the request got wrong.
Error blame_request(Error e) {
  const bool missing = e.is(ENOENT) || e.is(ENOTDIR) || e.is(EACCES) || e.is(ENOEXEC) || e.is(EISDIR) || e.is(ELOOP);
  bool of_request = false;
  for (const char* step : {"exec ", "change_dir ", "open_tree "})
    of_request = of_request || e.subject.starts_with(step);
  if (e.kind == ErrorKind::os && missing && of_request) e.kind = ErrorKind::invalid_argument;
  return e;
}

// Who stops the container waits for this, not for the lock of its operations.
class UnderWay {
 public:
  explicit UnderWay(Container& container) : container_(container) { set(true); }
  ~UnderWay() {
    set(false);
    container_.ended.notify_all();
  }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

 private:
  void set(bool starting) {
    std::lock_guard lock(container_.mutex);
    container_.starting = starting;
  }
  Container& container_;
};

}  // namespace

Result<> NodeRuntime::start_container(const std::string& id) {
  auto container = TRY(find_container(id));
  TRY(starts_.run(container->id.str(), [&](Stage& stage) -> Result<bool> {
    Observed observed;
    const unsigned stops = container->stops_so_far();
    if (container->state() == ContainerState::created) {
      stage.enter(MountLooks::kMountSources);
      observed = TRY(look_again(*container));
    }
    std::lock_guard one(container->operation);
    const UnderWay under_way(*container);  // before the look at the sandbox: a stop finds the one or this the other
    TRY(begin_container(*container, std::move(observed), stops, stage));
    return true;
  }));
  return {};
}

// The volumes may have died since create: a child that looks for them hangs, and this call with it. So may the log's,
// which the monitor opens: with it all of the Pod would hang. Before anything is held, so that who stops or removes the
// container meanwhile does not wait.
Result<NodeRuntime::Observed> NodeRuntime::look_again(const Container& container) const {
  const Sandbox& sandbox = *container.sandbox;
  auto looks = TRY(host().mount_looks(sandbox.record.spec, container.record.spec, sandbox.facts));
  if (const auto& path = container.record.log_path; !path.empty()) looks.push_back(host().log_look(path));
  // Only whether they answer: what else is wrong with them the child tells, and that is a StartError.
  for (auto& one : looks)
    one.look = [look = std::move(one.look)] {
      (void)look();
      return Result<>();
    };
  TRY(mount_looks_.run(std::move(looks)));
  return observe(container);
}

Result<> NodeRuntime::begin_container(Container& container, Observed observed, unsigned stops, Stage& stage) {
  const ContainerState state = container.state();
  if (state == ContainerState::running) return {};  // a client's retry
  if (state != ContainerState::created)
    return fail(Error::of(ErrorKind::failed_precondition, "start container", container.id.str(),
                          std::string("it is ") + state_name(state) + ", not created"));
  {
    std::lock_guard lock(container.mutex);
    if (container.removed || container.stops != stops)
      return fail(Error::of(ErrorKind::failed_precondition, "start container", container.id.str(),
                            std::string("it was ") + (container.removed ? "removed" : "stopped") + " meanwhile"));
  }
  auto monitor = TRY(monitor_of(*container.sandbox));
  stage.enter("plan");
  auto plan = TRY(plan_container(input_of(container, std::move(observed)), filters_));
  stage.enter("cgroup");
  Rollback undo = rollback("start of container " + container.id.str());
  undo.add("remove cgroup", [this, &container] { return host().remove_cgroup(container.cgroup, kRemovePatience); });
  tolerate(TRY(host().apply_cgroup(plan.cgroup)));
  // A start that was given up while its child hung in a mount must not come to life later.
  undo.add("kill what was started", [this, &container] { return kill_rest(container); });
  stage.enter("monitor");
  const std::int64_t started_at = host().now_ns();
  auto process = launch_container(container, *monitor, plan);
  // A stop does not wait for what hangs: it may have killed the child, or the monitor, or have gone on without this.
  if (container.sandbox->stopped() && (process || process.error().kind == ErrorKind::unavailable))
    process = fail(Error::of(ErrorKind::failed_precondition, "sandbox", container.sandbox->id.str(),
                             "was stopped before the start had ended"));
  if (!process) {
    process.error() = blame_request(std::move(process).error());
    note_start_error(container, process.error());
    return fail(std::move(process).error());
  }
  stage.enter("record");
  {
    std::lock_guard lock(container.mutex);
    container.record.process = *process;
    container.record.started_at_ns = started_at;  // it may have ended already
  }
  undo.commit();
  publish(container);
  // Who buried the Pod may have seen this container before it ran.
  if (!container.sandbox->live_monitor()) chores_.post([this, sandbox = container.sandbox] { bury_monitor(sandbox); });
  if (auto written = persist(container); !written)
    log::warn("record not written", {{"container", container.id.str()}, {"error", written.error().text()}});
  keep(stage.timeline("StartContainer", host().now_ns()), container, &container.start);
  log::info("container started", {{"container", container.id.str()},
                                  {"name", container.record.spec.metadata.name},
                                  {"pid", process->pid},
                                  {"ms", stage.timings()}});
  return {};
}

Result<sys::ProcessId> NodeRuntime::launch_container(Container& container, MonitorProcess& monitor,
                                                     const ContainerPlan& plan) {
  const ContainerSpec& spec = container.record.spec;
  CloneConfig clone{.namespaces = plan.clone.namespaces,
                    .join_sandbox_pid = plan.clone.join_sandbox_pid,
                    .join_pid_of = plan.clone.join_pid_of,
                    .cgroup = TRY(host().open_cgroup(container.cgroup))};
  ContainerStdio stdio{.log_path = container.record.log_path,
                       .tty = spec.tty,
                       .stdin_open = spec.stdin_open,
                       .stdin_once = spec.stdin_once,
                       .log_max_bytes = parts_.config.podshim.log_max_bytes,
                       .log_max_files = static_cast<int>(parts_.config.podshim.log_max_files)};
  // A kubelet makes the folder itself; crictl and other clients expect it to come with the log.
  if (!stdio.log_path.empty()) TRY(sys::make_dirs(stdio.log_path.substr(0, stdio.log_path.rfind('/'))));
  return monitor.start_container(container.id, plan.program, std::move(clone), stdio, container.cgroup.oom_file(),
                                 exit_path(container.id));
}

void NodeRuntime::note_start_error(Container& container, const Error& error) {
  const std::int64_t now = host().now_ns();
  {
    std::lock_guard lock(container.mutex);
    container.record.exit = state::ContainerExit{
        .code = kStartErrorCode, .finished_at_ns = now, .reason = "StartError", .message = error.text()};
  }
  container.ended.notify_all();
  publish(container);
  if (auto written = persist(container); !written)
    log::warn("record not written", {{"container", container.id.str()}, {"error", written.error().text()}});
}

}  // namespace podshim::lifecycle
