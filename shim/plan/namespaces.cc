#include "shim/plan/namespaces.h"

#include <sched.h>

namespace podshim {
namespace {

struct FlagName {
  std::uint64_t flag;
  const char* name;
};
constexpr FlagName kFlags[] = {{CLONE_NEWUSER, "NEWUSER"},    {CLONE_NEWNS, "NEWNS"},   {CLONE_NEWPID, "NEWPID"},
                               {CLONE_NEWNET, "NEWNET"},      {CLONE_NEWIPC, "NEWIPC"}, {CLONE_NEWUTS, "NEWUTS"},
                               {CLONE_NEWCGROUP, "NEWCGROUP"}};

Error bad_mode(const std::string& field, NamespaceMode mode, const char* why) {
  return Error::invalid("config.linux.security_context.namespace_options." + field,
                        std::string(mode_name(mode)) + " " + why);
}

Result<> check_target(const NamespaceOptions& o) {
  if (o.network == NamespaceMode::target) return fail(bad_mode("network", o.network, "is for pid only"));
  if (o.ipc == NamespaceMode::target) return fail(bad_mode("ipc", o.ipc, "is for pid only"));
  return {};
}

}  // namespace

std::string print_clone_flags(std::uint64_t flags) {
  std::string out;
  for (const auto& f : kFlags)
    if ((flags & f.flag) != 0) out += (out.empty() ? "" : "|") + std::string(f.name);
  return out.empty() ? "none" : out;
}

std::string ClonePlan::print() const {
  std::string out = "clone " + print_clone_flags(namespaces);
  if (join_sandbox_pid) out += " join-pid=sandbox";
  if (!join_pid_of.empty()) out += " join-pid=" + join_pid_of;
  return out;
}

std::uint64_t clone_flag(Slot slot) {
  switch (slot) {
    case Slot::net:
      return CLONE_NEWNET;
    case Slot::ipc:
      return CLONE_NEWIPC;
    case Slot::uts:
      return CLONE_NEWUTS;
    case Slot::pid:
      return CLONE_NEWPID;
    case Slot::mnt:
      return CLONE_NEWNS;
    case Slot::cgroup:
      return CLONE_NEWCGROUP;
    case Slot::user:
      return CLONE_NEWUSER;
    default:
      return 0;
  }
}

std::string_view mode_name(NamespaceMode mode) {
  switch (mode) {
    case NamespaceMode::pod:
      return "POD";
    case NamespaceMode::container:
      return "CONTAINER";
    case NamespaceMode::node:
      return "NODE";
    case NamespaceMode::target:
      return "TARGET";
  }
  return "?";
}

Result<NamespacePlan> plan_sandbox_namespaces(const NamespaceOptions& o) {
  TRY(check_target(o));
  if (o.pid == NamespaceMode::target) return fail(bad_mode("pid", o.pid, "is for containers only"));
  NamespacePlan out;
  out.clone.namespaces = CLONE_NEWNS;
  out.host_net = o.network == NamespaceMode::node;
  out.host_ipc = o.ipc == NamespaceMode::node;
  out.host_pid = o.pid == NamespaceMode::node;
  out.shared_pid = o.pid == NamespaceMode::pod;
  if (!out.host_net) out.clone.namespaces |= CLONE_NEWNET | CLONE_NEWUTS;
  if (!out.host_ipc) out.clone.namespaces |= CLONE_NEWIPC;
  if (out.shared_pid) out.clone.namespaces |= CLONE_NEWPID;
  out.own_net = !out.host_net;
  return out;
}

Result<NamespacePlan> plan_container_namespaces(const NamespaceOptions& sandbox, const NamespaceOptions& o,
                                                bool privileged, const HostFacts& host) {
  TRY(check_target(o));
  if (o.pid == NamespaceMode::target && o.target_id.empty())
    return fail(bad_mode("target_id", o.pid, "pid mode without a target_id"));
  NamespacePlan out;
  out.clone.namespaces = CLONE_NEWNS;
  // POD means what the sandbox has, so the host's where the sandbox has that.
  out.host_net =
      o.network == NamespaceMode::node || (o.network == NamespaceMode::pod && sandbox.network == NamespaceMode::node);
  out.host_ipc = o.ipc == NamespaceMode::node || (o.ipc == NamespaceMode::pod && sandbox.ipc == NamespaceMode::node);
  out.own_net = o.network == NamespaceMode::container;
  if (out.own_net) out.clone.namespaces |= CLONE_NEWNET;
  if (o.ipc == NamespaceMode::container) out.clone.namespaces |= CLONE_NEWIPC;
  if (!out.host_net && !out.own_net) out.join.push_back(Slot::net);
  if (!out.host_ipc && o.ipc != NamespaceMode::container) out.join.push_back(Slot::ipc);
  if (sandbox.network != NamespaceMode::node && !out.host_net) out.join.push_back(Slot::uts);

  const bool pod_is_host = o.pid == NamespaceMode::pod && sandbox.pid == NamespaceMode::node;
  out.host_pid = o.pid == NamespaceMode::node || pod_is_host;
  if (o.pid == NamespaceMode::target) {
    out.clone.join_pid_of = o.target_id;
    out.shared_pid = true;
  } else if (out.host_pid) {
    out.shared_pid = true;
  } else if (o.pid == NamespaceMode::pod && sandbox.pid == NamespaceMode::pod) {
    out.clone.join_sandbox_pid = true;
    out.shared_pid = true;
  } else {
    out.clone.namespaces |= CLONE_NEWPID;
  }
  out.private_cgroup = host.cgroup == CgroupVersion::v2 && !privileged;
  return out;
}

NamespacePlan plan_exec_namespaces(const NamespacePlan& container) {
  NamespacePlan out = container;
  out.clone = {};  // the monitor joins the container's pid namespace around every exec's clone
  out.join.clear();
  // The slots are the container's own here. mnt comes last: what a path means changes with it.
  if (!container.host_net) out.join.push_back(Slot::net);
  if (!container.host_ipc) out.join.push_back(Slot::ipc);
  for (Slot slot : container.join)
    if (slot == Slot::uts) out.join.push_back(slot);
  if (container.private_cgroup) out.join.push_back(Slot::cgroup);
  out.join.push_back(Slot::mnt);
  return out;
}

}  // namespace podshim
