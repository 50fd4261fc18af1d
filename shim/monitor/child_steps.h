// One function per Op: 0 or errno. Only for the child, after clone. What each does: shim/monitor/step.h.
#pragma once

#include "shim/monitor/child_plan.h"

namespace podshim::child {

using StepFunction = int (*)(const ChildPlan&, const ChildStep&) noexcept;

// child_namespaces.cc
int write_file(const ChildPlan&, const ChildStep&) noexcept;
int set_ns(const ChildPlan&, const ChildStep&) noexcept;
int unshare(const ChildPlan&, const ChildStep&) noexcept;
int set_hostname(const ChildPlan&, const ChildStep&) noexcept;
int loopback_up(const ChildPlan&, const ChildStep&) noexcept;
// child_mounts.cc
int open_tree(const ChildPlan&, const ChildStep&) noexcept;
int open_tree_at(const ChildPlan&, const ChildStep&) noexcept;
int new_mount(const ChildPlan&, const ChildStep&) noexcept;
int mount_attr(const ChildPlan&, const ChildStep&) noexcept;
int propagation(const ChildPlan&, const ChildStep&) noexcept;
int attach_root(const ChildPlan&, const ChildStep&) noexcept;
int attach(const ChildPlan&, const ChildStep&) noexcept;
// child_root.cc
int make_dir(const ChildPlan&, const ChildStep&) noexcept;
int make_symlink(const ChildPlan&, const ChildStep&) noexcept;
int make_node(const ChildPlan&, const ChildStep&) noexcept;
int mask_path(const ChildPlan&, const ChildStep&) noexcept;
int readonly_path(const ChildPlan&, const ChildStep&) noexcept;
int readonly_root(const ChildPlan&, const ChildStep&) noexcept;
int enter_root(const ChildPlan&, const ChildStep&) noexcept;
// child_credentials.cc
int bound_caps(const ChildPlan&, const ChildStep&) noexcept;
int set_groups(const ChildPlan&, const ChildStep&) noexcept;
int set_gid(const ChildPlan&, const ChildStep&) noexcept;
int set_uid(const ChildPlan&, const ChildStep&) noexcept;
int set_caps(const ChildPlan&, const ChildStep&) noexcept;
int no_new_privs(const ChildPlan&, const ChildStep&) noexcept;
int seccomp(const ChildPlan&, const ChildStep&) noexcept;
// child_exec.cc
int new_session(const ChildPlan&, const ChildStep&) noexcept;
int rlimit(const ChildPlan&, const ChildStep&) noexcept;
int umask(const ChildPlan&, const ChildStep&) noexcept;
int no_dumpable(const ChildPlan&, const ChildStep&) noexcept;
int change_dir(const ChildPlan&, const ChildStep&) noexcept;
int parent_death(const ChildPlan&, const ChildStep&) noexcept;
int exec(const ChildPlan&, const ChildStep&) noexcept;
int exec_fd(const ChildPlan&, const ChildStep&) noexcept;

}  // namespace podshim::child
