#include <errno.h>
#include <linux/prctl.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

namespace podshim {

using sys::raw;

namespace {

constexpr int kFailedStatus = 127;

child::StepFunction function_of(Op op) noexcept {
  switch (op) {
    case Op::write_file:
      return child::write_file;
    case Op::set_ns:
      return child::set_ns;
    case Op::unshare:
      return child::unshare;
    case Op::set_hostname:
      return child::set_hostname;
    case Op::loopback_up:
      return child::loopback_up;
    case Op::open_tree:
      return child::open_tree;
    case Op::open_tree_at:
      return child::open_tree_at;
    case Op::new_mount:
      return child::new_mount;
    case Op::mount_attr:
      return child::mount_attr;
    case Op::propagation:
      return child::propagation;
    case Op::attach_root:
      return child::attach_root;
    case Op::attach:
      return child::attach;
    case Op::make_dir:
      return child::make_dir;
    case Op::make_symlink:
      return child::make_symlink;
    case Op::make_node:
      return child::make_node;
    case Op::mask_path:
      return child::mask_path;
    case Op::readonly_path:
      return child::readonly_path;
    case Op::readonly_root:
      return child::readonly_root;
    case Op::enter_root:
      return child::enter_root;
    case Op::new_session:
      return child::new_session;
    case Op::rlimit:
      return child::rlimit;
    case Op::umask:
      return child::umask;
    case Op::no_dumpable:
      return child::no_dumpable;
    case Op::bound_caps:
      return child::bound_caps;
    case Op::set_groups:
      return child::set_groups;
    case Op::set_gid:
      return child::set_gid;
    case Op::set_uid:
      return child::set_uid;
    case Op::set_caps:
      return child::set_caps;
    case Op::no_new_privs:
      return child::no_new_privs;
    case Op::seccomp:
      return child::seccomp;
    case Op::change_dir:
      return child::change_dir;
    case Op::parent_death:
      return child::parent_death;
    case Op::exec:
      return child::exec;
    case Op::exec_fd:
      return child::exec_fd;
    case Op::count_:
      break;
  }
  return nullptr;
}

// ps shows where a start hangs: the mounts of a dead file server, a full cgroup, the program's own file.
const char* stage_of(Op op) noexcept {
  if (op <= Op::loopback_up) return "podshim:join";
  if (op <= Op::attach) return "podshim:mounts";
  if (op <= Op::enter_root) return "podshim:root";
  return op < Op::exec ? "podshim:process" : "podshim:exec";
}

void report(const ChildPlan& plan, ChildReportKind kind, std::uint32_t step, int err) noexcept {
  ChildReport record{kind, step, err};
  raw(__NR_write, plan.report_pipe, &record, sizeof record);
}

int run_step(const ChildPlan& plan, const ChildStep& step) noexcept {
  auto function = function_of(step.op);
  return function != nullptr ? function(plan, step) : ENOSYS;
}

void take_stdio(const ChildPlan& plan) noexcept {
  for (int fd = 0; fd < 3; fd++)
    if (plan.scratch->slots[fd] >= 0) raw(__NR_dup3, plan.scratch->slots[fd], fd, 0);
}

}  // namespace

void run_child(const ChildPlan& plan) noexcept {
  raw(__NR_setsid);
  raw(__NR_umask, 0);
  take_stdio(plan);
  const char* stage = nullptr;
  std::uint32_t index = 0;
  int err = ENOEXEC;  // of a program that ends without exec
  for (; index < plan.step_count; index++) {
    const ChildStep& step = plan.steps[index];
    if (stage_of(step.op) != stage) raw(__NR_prctl, PR_SET_NAME, stage = stage_of(step.op));
    err = run_step(plan, step);
    if (err == 0) continue;
    if ((step.flags & kMayFail) == 0) break;
    report(plan, ChildReportKind::noted, index, err);
    err = ENOEXEC;
  }
  report(plan, ChildReportKind::failed, index < plan.step_count ? index : plan.step_count - 1, err);
  for (;;) raw(__NR_exit_group, kFailedStatus);
}

}  // namespace podshim
