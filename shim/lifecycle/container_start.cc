// StartContainer: plan again (the host may have changed since create), make the cgroup, let the monitor clone.
// A start that got as far as touching the machine and failed ends the container: EXITED, reason StartError, code 128,
// with the error as its message, which is what kubelets show.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

constexpr std::int32_t kStartErrorCode = 128;

const char* state_name(ContainerState state) {
  switch (state) {
    case ContainerState::created:
      return "created";
    case ContainerState::running:
      return "running";
    case ContainerState::exited:
      return "exited";
    case ContainerState::unknown:
      return "unknown";
  }
  return "unknown";
}

// A program, working directory or mount source that is not there is what the request got wrong.
Error blame_request(Error e) {
  const bool missing = e.is(ENOENT) || e.is(ENOTDIR) || e.is(EACCES) || e.is(ENOEXEC) || e.is(EISDIR) || e.is(ELOOP);
  bool of_request = false;
  for (const char* step : {"exec ", "change_dir ", "open_tree "})
    of_request = of_request || e.subject.starts_with(step);
  if (e.kind == ErrorKind::os && missing && of_request) e.kind = ErrorKind::invalid_argument;
  return e;
}

}  // namespace

Result<> NodeRuntime::start_container(const std::string& id) {
  auto container = TRY(find_container(id));
  TRY(starts_.run(container->id.str(), [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(container->operation);
    TRY_IN(begin_container(*container, stage), "start container " + container->id.brief());
    return true;
  }));
  return {};
}

Result<> NodeRuntime::begin_container(Container& container, Stage& stage) {
  const ContainerState state = container.state();
  if (state == ContainerState::running) return {};  // a client's retry
  if (state != ContainerState::created)
    return fail(Error::of(ErrorKind::failed_precondition, "start container", container.id.str(),
                          std::string("it is ") + state_name(state) + ", not created"));
  auto monitor = TRY(monitor_of(*container.sandbox));
  stage.enter("plan");
  auto plan = TRY(plan_container(input_of(container, TRY(observe(container.record.spec))), filters_));
  stage.enter("cgroup");
  Rollback undo = rollback("start of container " + container.id.str());
  undo.add("remove cgroup", [this, &container] { return host().remove_cgroup(container.cgroup, kRemovePatience); });
  tolerate(TRY(host().apply_cgroup(plan.cgroup)));
  // A start that was given up while its child hung in a mount must not come to life later.
  undo.add("kill what was started", [this, &container] { return kill_rest(container); });
  stage.enter("monitor");
  const std::int64_t started_at = host().now_ns();
  auto process = launch_container(container, *monitor, plan);
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
  if (auto written = persist(container); !written)
    log::warn("record not written", {{"container", container.id.str()}, {"error", written.error().text()}});
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
