// Specs and records with every member set: a member that a field list forgot does not survive the round trip.
#pragma once

#include "shim/state/record.h"

namespace podshim::state::samples {

inline SandboxId sandbox_id(char digit) { return *SandboxId::parse(std::string(64, digit)); }
inline ContainerId container_id(char digit) { return *ContainerId::parse(std::string(64, digit)); }

inline Resources resources() {
  return {.cpu_period_us = 100000,
          .cpu_quota_us = -1,
          .cpu_shares = 512,
          .memory_limit_bytes = 1LL << 40,
          .memory_swap_limit_bytes = 2,
          .oom_score_adj = -998,
          .cpuset_cpus = "0-1",
          .cpuset_mems = "0",
          .unified = {{"memory.high", "1000"}}};
}

inline NamespaceOptions namespaces() {
  return {.network = NamespaceMode::node,
          .pid = NamespaceMode::target,
          .ipc = NamespaceMode::container,
          .target_id = std::string(64, 'e')};
}

inline SandboxSpec sandbox_spec() {
  return {.metadata = {.name = "web", .uid = "u-1", .name_space = "default", .attempt = 3},
          .hostname = "web-host",
          .log_directory = "/var/log/pods/web",
          .dns = DnsConfig{.servers = {"10.43.0.10"}, .searches = {"cluster.local"}, .options = {"ndots:5"}},
          .ports = {{.protocol = PortMapping::Protocol::udp,
                     .container_port = 53,
                     .host_port = 5353,
                     .host_ip = "127.0.0.1"}},
          .labels = {{"app", "web"}},
          .annotations = {{"note", "with \"quotes\"\n"}},
          .runtime_handler = "fast",
          .cgroup_parent = "/kubepods/pod1",
          .namespaces = namespaces(),
          .privileged = true,
          .sysctls = {{"kernel.shm_rmid_forced", "1"}},
          .seccomp = {.type = SeccompChoice::Type::localhost, .localhost_ref = "/profiles/a.json"},
          .resources = resources(),
          .overhead = Resources{},
          .shared_volumes = {"logs", "cache"}};
}

inline ContainerSpec container_spec() {
  return {.metadata = {.name = "main", .uid = "u", .name_space = "n", .attempt = 1},
          .image = "sha256:" + std::string(64, '1'),
          .user_specified_image = "busybox:1",
          .command = {"sh", "-c"},
          .args = {"", "echo"},
          .working_dir = "/srv",
          .envs = {{"A", "1"}, {"A", "2"}, {"EMPTY", ""}},
          .mounts = {{.container_path = "/data",
                      .host_path = "volume:logs",
                      .readonly = true,
                      .recursive_readonly = true,
                      .selinux_relabel = true,
                      .propagation = Mount::Propagation::bidirectional}},
          .devices = {{.container_path = "/dev/fuse", .host_path = "/dev/fuse", .permissions = "rwm"}},
          .labels = {{"l", "v"}},
          .annotations = {{"io.kubernetes.container.hash", "abc"}},
          .log_path = "main/0.log",
          .stdin_open = true,
          .stdin_once = true,
          .tty = true,
          .stop_signal = "SIGUSR2",
          .resources = resources(),
          .security = {.capabilities = {.add = {"NET_ADMIN"}, .drop = {"ALL"}},
                       .privileged = true,
                       .namespaces = namespaces(),
                       .run_as_user = 0,
                       .run_as_group = 7,
                       .run_as_username = "nobody",
                       .supplemental_groups = {1234, 5678},
                       .strict_groups = true,
                       .readonly_rootfs = true,
                       .no_new_privs = true,
                       .masked_paths = {"/proc/kcore"},
                       .readonly_paths = {"/proc/sys"},
                       .seccomp = {.type = SeccompChoice::Type::runtime_default, .localhost_ref = "x"}}};
}

inline SandboxRecord sandbox_record(char digit = 'a') {
  return {.id = sandbox_id(digit),
          .spec = sandbox_spec(),
          .boot_id = "boot-1",
          .instance = "abcdef",
          .created_at_ns = 1700000000000000001,
          .created = true,
          .ready = true,
          .monitor = {.pid = 100, .start_ticks = 5000000000},
          .pause = {.pid = 101, .start_ticks = 5000000001},
          .netns_path = "/run/netns/podshim-abcdef-x",
          .cgroup_parent = "/podshim",
          .ips = {*IpAddress::parse("10.42.0.5"), *IpAddress::parse("fd00::5")},
          .network = {.config = "{\"name\":\"n\"}",
                      .source = "/etc/cni/net.d/10-n.conflist",
                      .added = true,
                      .result = json::Value::object().set("cniVersion", "1.1.0")},
          .update = {.overhead = Resources{.cpu_shares = 4}, .resources = Resources{.cpu_quota_us = 5000}}};
}

inline ContainerRecord container_record(char digit = 'c', char sandbox = 'a') {
  return {
      .id = container_id(digit),
      .sandbox = sandbox_id(sandbox),
      .spec = container_spec(),
      .created_at_ns = 5,
      .started_at_ns = 6,
      .created = true,
      .image_id = "sha256:1",
      .image_reference = "busybox@sha256:2",
      .image_process = {.user = "www",
                        .entrypoint = {"/bin/sh"},
                        .cmd = {"-c"},
                        .env = {"PATH=/bin"},
                        .working_dir = "/w",
                        .stop_signal = "SIGQUIT",
                        .volumes = {"/data"}},
      .log_path = "/var/log/pods/web/main/0.log",
      .user = {.uid = 1, .gid = 2, .groups = {2, 3}, .home = "/root"},
      .process = {.pid = 200, .start_ticks = 9},
      .exit =
          ContainerExit{
              .code = 137, .signal = 9, .oom_killed = true, .finished_at_ns = 7, .reason = "OOMKilled", .message = "m"},
      .log_lost = 77,
      .resources = Resources{.cpu_shares = 9, .memory_limit_bytes = -1},
      .updating = true};
}

}  // namespace podshim::state::samples
