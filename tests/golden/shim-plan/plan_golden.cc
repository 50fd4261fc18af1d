// Whole plans as text against files. PODSHIM_UPDATE_GOLDEN=1 rewrites them; the diff is what a reviewer reads.
// Filters are compiled code: they stand empty here, and are run instruction by instruction in
// unit/shim-plan.
#include <sys/resource.h>

#include <functional>

#include "tests/golden/shim-plan/compare.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

std::string without_filters(Program program) {
  for (auto& step : program.steps)
    if (step.op == Op::seccomp) step.a.clear();
  return program.print();
}

std::string text_of(const ContainerPlan& plan) {
  ContainerPlan head = plan;
  head.program = {};
  return head.print() + without_filters(plan.program);
}

std::string text_of(const ExecPlan& plan) {
  ExecPlan head = plan;
  head.program = {};
  return head.print() + without_filters(plan.program);
}

template <typename Plan>
std::string text_of(const Result<Plan>& plan) {
  return plan ? text_of(*plan) : "error: " + plan.error().text() + "\n";
}

void kubernetes_paths(SecurityContext& s) {
  s.masked_paths = {"/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"};
  s.readonly_paths = {"/proc/bus", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

struct Case {
  const char* name;
  std::function<void(ContainerCase&)> change;
};

const Case kContainers[] = {
    {"container-plain-v1", [](ContainerCase&) {}},
    {"container-plain-v2", [](ContainerCase& c) { c.host = host_v2(); }},
    {"container-kubernetes-v2",
     [](ContainerCase& c) {  // what a kubelet sends for a burstable Pod that follows the restricted standard
       c.host = host_v2();
       c.user = {.uid = 1000, .gid = 1000, .groups = {1000, 2000}, .home = "/home/app"};
       auto& s = c.container.security;
       s.seccomp.type = SeccompChoice::Type::runtime_default;
       s.capabilities = {.add = {"NET_BIND_SERVICE"}, .drop = {"ALL"}};
       s.no_new_privs = true;
       kubernetes_paths(s);
       c.container.resources = Resources{.cpu_period_us = 100000,
                                         .cpu_quota_us = 50000,
                                         .cpu_shares = 256,
                                         .memory_limit_bytes = 134217728,
                                         .oom_score_adj = 985,
                                         .unified = {{"memory.oom.group", "1"}}};
       c.container.mounts = {
           {.container_path = "/var/run/secrets/kubernetes.io/serviceaccount",
            .host_path = "/var/lib/kubelet/pods/u/token",
            .readonly = true},
           {.container_path = "/etc/hosts", .host_path = "/var/lib/kubelet/pods/u/etc-hosts"},
           {.container_path = "/dev/termination-log", .host_path = "/var/lib/kubelet/pods/u/containers/main/1"}};
       c.config.pids_limit = 1024;
       c.config.rlimits = {{"nofile", {RLIMIT_NOFILE, 1048576, 1048576}}};
     }},
    {"container-privileged-v1",
     [](ContainerCase& c) {
       c.sandbox.privileged = c.container.security.privileged = true;
       kubernetes_paths(c.container.security);
       c.devices = {{.host_path = "/dev/sda",
                     .container_path = "/dev/sda",
                     .type = 'b',
                     .major = 8,
                     .minor = 0,
                     .mode = 0660,
                     .gid = 6},
                    {.host_path = "/dev/net/tun", .container_path = "/dev/net/tun", .major = 10, .minor = 200}};
     }},
    {"container-privileged-v2",
     [](ContainerCase& c) {
       c.host = host_v2();
       c.sandbox.privileged = c.container.security.privileged = true;
     }},
    {"container-readonly-v1",
     [](ContainerCase& c) {
       c.container.security.readonly_rootfs = true;
       c.container.working_dir = "/srv/app";
       kubernetes_paths(c.container.security);
     }},
    {"container-tty-v1", [](ContainerCase& c) { c.container.tty = c.container.stdin_open = true; }},
    {"container-host-network-v2",
     [](ContainerCase& c) {
       c.host = host_v2();
       c.sandbox.namespaces.network = c.container.security.namespaces.network = NamespaceMode::node;
       c.facts.hostname = "node-1";
     }},
    {"container-host-everything-v1",
     [](ContainerCase& c) {
       c.sandbox.namespaces = c.container.security.namespaces = {
           .network = NamespaceMode::node, .pid = NamespaceMode::node, .ipc = NamespaceMode::node};
     }},
    {"container-pid-pod-v1",
     [](ContainerCase& c) { c.sandbox.namespaces.pid = c.container.security.namespaces.pid = NamespaceMode::pod; }},
    {"container-pid-target-v2",
     [](ContainerCase& c) {
       c.host = host_v2();
       c.container.security.namespaces.pid = NamespaceMode::target;
       c.container.security.namespaces.target_id = std::string(64, 'd');
     }},
    {"container-seccomp-v1",
     [](ContainerCase& c) { c.container.security.seccomp.type = SeccompChoice::Type::runtime_default; }},
    {"container-device-v2",
     [](ContainerCase& c) {
       c.host = host_v2();
       c.devices = {
           {.host_path = "/dev/fuse", .container_path = "/dev/fuse", .major = 10, .minor = 229, .permissions = "rw"}};
     }},
    {"container-40-mounts-v1",
     [](ContainerCase& c) {
       c.sandbox.shared_volumes = {"logs"};
       c.container.mounts = {
           {.container_path = "/nested/a/b", .host_path = "/h/nested-2"},
           {.container_path = "/nested", .host_path = "/h/nested-0"},
           {.container_path = "/nested/a", .host_path = "/h/nested-1"},
           {.container_path = "/logs", .host_path = "volume:logs"},
           {.container_path = "/slave", .host_path = "/h/s", .propagation = Mount::Propagation::host_to_container},
           {.container_path = "/shared", .host_path = "/h/x", .propagation = Mount::Propagation::bidirectional},
           {.container_path = "/ro", .host_path = "/h/ro", .readonly = true},
           {.container_path = "/rro", .host_path = "/h/rro", .readonly = true, .recursive_readonly = true}};
       for (int i = 8; i < 40; i++)
         c.container.mounts.push_back(
             {.container_path = "/volumes/" + std::to_string(i), .host_path = "/h/" + std::to_string(i)});
     }},
};

TEST(GoldenPlan, Containers) {
  for (const auto& c : kContainers) {
    SCOPED_TRACE(c.name);
    ContainerCase input;
    c.change(input);
    compare(c.name, text_of(input.plan()));
  }
}

TEST(GoldenPlan, Execs) {
  ContainerCase v1;
  v1.container.security.seccomp.type = SeccompChoice::Type::runtime_default;
  compare("exec-v1", text_of(v1.exec({"sh", "-c", "id"})));
  ContainerCase v2;
  v2.host = host_v2();
  v2.container.security.no_new_privs = true;
  v2.user = {.uid = 1000, .gid = 1000, .groups = {1000}, .home = "/home/app"};
  compare("exec-tty-v2", text_of(v2.exec({"/bin/sh"}, true)));
}

TEST(GoldenPlan, Sandboxes) {
  struct SandboxGolden {
    const char* name;
    std::function<void(SandboxSpec&, HostFacts&)> change;
  } cases[] = {
      {"sandbox-shared-pid-v1", [](SandboxSpec&, HostFacts&) {}},
      {"sandbox-kubernetes-v2",
       [](SandboxSpec& s, HostFacts& h) {
         h = host_v2();
         s.namespaces.pid = NamespaceMode::container;
         s.cgroup_parent = "/kubepods/burstable/podu-1";
         s.sysctls = {{"net.ipv4.ip_local_port_range", "1024 65535"},
                      {"kernel.shm_rmid_forced", "1"},
                      {"fs.mqueue.msg_max", "100"}};
       }},
      {"sandbox-host-network-v1",
       [](SandboxSpec& s, HostFacts&) {
         s.namespaces = {.network = NamespaceMode::node, .pid = NamespaceMode::container};
       }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    SandboxSpec spec;
    spec.metadata = {.name = "web", .uid = "u-1", .name_space = "default"};
    spec.hostname = "web-0";
    HostFacts host = host_v1();
    c.change(spec, host);
    auto plan = plan_sandbox({.spec = spec,
                              .host = host,
                              .instance = "0a1b2c",
                              .id = sandbox_id(),
                              .default_cgroup_parent = "/podshim",
                              .staging_dir = "/run/podshim/sandboxes/aa"});
    compare(c.name, plan ? plan->print() : "error: " + plan.error().text() + "\n");
  }
}

}  // namespace
}  // namespace podshim::testing
