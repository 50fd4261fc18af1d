// Fixed facts and specs for the tests of shim/plan: two hosts (v1 as on the build machines, v2 as on Debian 12), one
// sandbox, one container. Each test changes what it is about.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shim/plan/container_plan.h"
#include "shim/plan/exec_plan.h"
#include "shim/plan/sandbox_plan.h"

namespace podshim::testing {

inline constexpr std::uint64_t kAllCapabilities = (std::uint64_t{1} << 41) - 1;

inline HostFacts host_v1() {
  HostFacts out;
  out.cgroup = CgroupVersion::v1;
  for (const char* name : {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"})
    out.cgroup_v1_mounts[name] = std::string("/sys/fs/cgroup/") + name;
  out.recursive_readonly = true;
  out.capabilities = kAllCapabilities;
  out.hostname = "node-1";
  return out;
}

inline HostFacts host_v2() {
  HostFacts out = host_v1();
  out.cgroup = CgroupVersion::v2;
  out.cgroup_v1_mounts.clear();
  out.cgroup_v2_root = "/sys/fs/cgroup";
  out.cgroup_v2_controllers = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"};
  out.cgroup_kill = true;
  return out;
}

inline SandboxId sandbox_id() { return *SandboxId::parse(std::string(64, 'a')); }
inline ContainerId container_id() { return *ContainerId::parse(std::string(64, 'c')); }

// Owns what a ContainerInput refers to.
struct ContainerCase {
  SandboxSpec sandbox;
  ContainerSpec container;
  ImageProcess image;
  ProcessUser user{.uid = 0, .gid = 0, .groups = {0}, .home = "/root"};
  SandboxFacts facts;
  HostFacts host = host_v1();
  PodshimConfig config;
  std::vector<DeviceNode> devices;
  std::string seccomp_profile;
  SeccompFilters filters;

  ContainerCase() {
    sandbox.metadata = {.name = "web", .uid = "u-1", .name_space = "default"};
    sandbox.hostname = "web-0";
    sandbox.cgroup_parent = "/kubepods/besteffort/podu-1";
    sandbox.namespaces.pid = NamespaceMode::container;
    container.metadata.name = "main";
    container.image = "sha256:1";
    container.security.namespaces.pid = NamespaceMode::container;
    image.entrypoint = {"/bin/server"};
    image.cmd = {"--port", "80"};
    image.env = {"PATH=/usr/bin:/bin", "LANG=C"};
    facts = {.hosts_path = "/run/podshim/sandboxes/aa/hosts",
             .hostname_path = "/run/podshim/sandboxes/aa/hostname",
             .resolv_conf_path = "/run/podshim/sandboxes/aa/resolv.conf",
             .volumes_dir = "/var/lib/podshim/sandboxes/aa/volumes",
             .staging_dir = "/run/podshim/sandboxes/aa",
             .hostname = "web-0"};
  }

  ContainerInput input() const {
    return {.sandbox = sandbox,
            .container = container,
            .image = image,
            .user = user,
            .facts = facts,
            .host = host,
            .config = config,
            .instance = "0a1b2c",
            .id = container_id(),
            .devices = devices,
            .seccomp_profile = seccomp_profile};
  }
  Result<ContainerPlan> plan() { return plan_container(input(), filters); }
  Result<ExecPlan> exec(const std::vector<std::string>& command, bool tty = false) {
    return plan_exec(input(), filters, command, tty);
  }
};

inline std::vector<const ProgramStep*> steps_of(const Program& program, Op op) {
  std::vector<const ProgramStep*> out;
  for (const auto& step : program.steps)
    if (step.op == op) out.push_back(&step);
  return out;
}

inline std::ptrdiff_t index_of(const Program& program, Op op, const std::string& b = "") {
  for (std::size_t i = 0; i < program.steps.size(); i++)
    if (program.steps[i].op == op && (b.empty() || program.steps[i].b == b)) return static_cast<std::ptrdiff_t>(i);
  return -1;
}

template <typename T>
std::string error_text(const Result<T>& r) {
  return r ? "no error" : r.error().text();
}

// The error is there, is the caller's fault and names `field` and `text`.
template <typename T>
void expect_invalid(const Result<T>& r, const std::string& field, const std::string& text = "") {
  ASSERT_FALSE(r.has_value()) << "no error for " << field;
  EXPECT_EQ(r.error().kind, ErrorKind::invalid_argument) << r.error().text();
  EXPECT_NE(r.error().subject.find(field), std::string::npos) << r.error().text();
  EXPECT_NE(r.error().text().find(text), std::string::npos) << r.error().text();
}

}  // namespace podshim::testing
