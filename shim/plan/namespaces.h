// Namespaces: what is cloned, what is joined, for a sandbox, a container, an exec. Pure; any thread.
//
// The sandbox's pause owns net, ipc, uts and, with pid mode POD, the pid namespace; and an empty mount namespace of its
// own, so that /proc/<pause>/root shows a container nothing of the host. NODE = the host's. A container's POD means
// "what the sandbox has": the host's for a sandbox with NODE; its own pid namespace where the sandbox has none to
// share. With network NODE the host's uts namespace is used too (as containerd and CRI-O do): no hostname is set then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/facts.h"
#include "shim/plan/program.h"
#include "shim/plan/spec.h"

namespace podshim {

// The pure part of CloneConfig (apply/monitor_process.h).
struct ClonePlan {
  std::uint64_t namespaces = 0;  // CLONE_NEW* of the clone itself
  bool join_sandbox_pid = false;
  std::string join_pid_of;  // container id
  bool operator==(const ClonePlan&) const = default;
  std::string print() const;  // "clone NEWNS|NEWPID join-pid=sandbox"
};

struct NamespacePlan {
  ClonePlan clone;
  std::vector<Slot> join;  // by Op::set_ns in this order
  bool own_net = false;    // a new network namespace comes with the clone: lo must be set up
  bool host_net = false, host_ipc = false, host_pid = false;  // of the node
  bool shared_pid = false;      // main process is not pid 1: its end does not end its tree
  bool private_cgroup = false;  // Op::unshare NEWCGROUP after the cgroup is joined (v2, not privileged)
  bool operator==(const NamespacePlan&) const = default;
};

std::uint64_t clone_flag(Slot slot);  // net -> CLONE_NEWNET; 0 for a slot that is no namespace
std::string print_clone_flags(std::uint64_t flags);
std::string_view mode_name(NamespaceMode mode);  // "POD"

Result<NamespacePlan> plan_sandbox_namespaces(const NamespaceOptions& sandbox);
Result<NamespacePlan> plan_container_namespaces(const NamespaceOptions& sandbox, const NamespaceOptions& container,
                                                bool privileged, const HostFacts& host);
// Of an exec in a container planned as `container`: its slots are the container's namespaces.
NamespacePlan plan_exec_namespaces(const NamespacePlan& container);

}  // namespace podshim
