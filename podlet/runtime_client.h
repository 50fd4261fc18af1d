// What podlet asks of a CRI runtime, as values: no gRPC type is seen behind runtime_client.cc.
//
// Calls block (the caller brings a worker thread) and may come from any thread at once. Errors keep the runtime's
// meaning: not_found, already_exists, unavailable, deadline_exceeded, ... Stop and Remove of something unknown succeed,
// as CRI has it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"
#include "podlet/clock.h"

namespace podshim::podlet {

using StringMap = std::map<std::string, std::string>;

struct CriDns {
  std::vector<std::string> servers, searches, options;
  bool operator==(const CriDns&) const = default;
};
struct CriPortMapping {
  int protocol = 0;  // CRI's enum: TCP 0, UDP 1, SCTP 2
  int container_port = 0, host_port = 0;
  std::string host_ip;
  bool operator==(const CriPortMapping&) const = default;
};
enum class CriNamespace { pod = 0, container = 1, node = 2, target = 3 };  // CRI's NamespaceMode
struct CriNamespaces {
  CriNamespace network = CriNamespace::pod, pid = CriNamespace::container, ipc = CriNamespace::pod;
  bool operator==(const CriNamespaces&) const = default;
};
struct CriSeccomp {
  enum class Type { runtime_default = 0, unconfined = 1, localhost = 2 };  // CRI's SecurityProfile.ProfileType
  Type type = Type::unconfined;
  std::string localhost_ref;
  bool operator==(const CriSeccomp&) const = default;
};
struct CriResources {
  std::int64_t cpu_period = 0, cpu_quota = 0, cpu_shares = 0, memory_limit = 0, oom_score_adj = 0;
  bool operator==(const CriResources&) const = default;
};

struct CriSandboxConfig {
  std::string name, uid, name_space;
  std::uint32_t attempt = 0;
  std::string hostname, log_directory;
  std::optional<CriDns> dns;
  std::vector<CriPortMapping> ports;
  StringMap labels, annotations, sysctls;
  CriNamespaces namespaces;
  bool privileged = false;
  CriSeccomp seccomp;
  std::optional<std::int64_t> run_as_user, run_as_group;
  std::vector<std::int64_t> supplemental_groups;
  bool operator==(const CriSandboxConfig&) const = default;
};

struct CriMount {
  enum class Propagation { none = 0, host_to_container = 1, bidirectional = 2 };  // CRI's MountPropagation
  std::string container_path, host_path;
  bool readonly = false;
  Propagation propagation = Propagation::none;
  bool operator==(const CriMount&) const = default;
};

struct CriContainerConfig {
  std::string name;
  std::uint32_t attempt = 0;
  std::string image, user_specified_image;  // image: the id that ImageStatus or PullImage gave
  std::vector<std::string> command, args;
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> envs;
  std::vector<CriMount> mounts;
  StringMap labels, annotations;
  std::string log_path;  // relative to the sandbox's log_directory
  bool stdin_open = false, stdin_once = false, tty = false;
  CriResources resources;
  CriNamespaces namespaces;
  bool privileged = false, readonly_rootfs = false, no_new_privs = false;
  std::optional<std::int64_t> run_as_user, run_as_group;  // CRI: a group only beside a user
  std::string run_as_username;
  std::vector<std::int64_t> supplemental_groups;
  std::vector<std::string> capabilities_add, capabilities_drop, masked_paths, readonly_paths;
  CriSeccomp seccomp;
  bool operator==(const CriContainerConfig&) const = default;
};

struct CriSandbox {
  std::string id, name, uid, name_space;
  std::uint32_t attempt = 0;
  bool ready = false;
  Time created;
  StringMap labels, annotations;
  std::vector<std::string> ips;  // only from sandbox_status()
  bool operator==(const CriSandbox&) const = default;
};

enum class CriState { created = 0, running = 1, exited = 2, unknown = 3 };  // CRI's ContainerState

struct CriContainer {
  std::string id, sandbox_id, name;
  std::uint32_t attempt = 0;
  CriState state = CriState::unknown;
  std::string image, image_ref;
  Time created;
  StringMap labels, annotations;
  // Only from container_status().
  Time started, finished;
  int exit_code = 0;
  std::string reason, message, log_path;
  bool operator==(const CriContainer&) const = default;
};

struct CriImage {
  std::string id;
  std::optional<std::int64_t> uid;  // of the image's user; neither = root
  std::string username;
  bool operator==(const CriImage&) const = default;
};

struct CriVersion {
  std::string runtime_name, runtime_version;
};
struct CriStatus {
  bool runtime_ready = false, network_ready = false;
  std::string reason;  // of what is not ready
};
struct CriExec {
  std::string out, err;
  int exit_code = 0;
};

class RuntimeClient {
 public:
  virtual ~RuntimeClient() = default;
  virtual Result<CriVersion> version() = 0;
  virtual Result<CriStatus> status() = 0;
  // "" = all; else those with the label io.kubernetes.pod.uid.
  virtual Result<std::vector<CriSandbox>> list_sandboxes(const std::string& pod_uid) = 0;
  virtual Result<std::vector<CriContainer>> list_containers(const std::string& pod_uid) = 0;
  virtual Result<CriSandbox> sandbox_status(const std::string& id) = 0;
  virtual Result<CriContainer> container_status(const std::string& id) = 0;
  virtual Result<std::string> run_sandbox(const CriSandboxConfig& config) = 0;
  virtual Result<> stop_sandbox(const std::string& id) = 0;
  virtual Result<> remove_sandbox(const std::string& id) = 0;
  virtual Result<std::string> create_container(const std::string& sandbox, const CriContainerConfig& config,
                                               const CriSandboxConfig& sandbox_config) = 0;
  virtual Result<> start_container(const std::string& id) = 0;
  virtual Result<> stop_container(const std::string& id, std::chrono::seconds grace) = 0;
  virtual Result<> remove_container(const std::string& id) = 0;
  virtual Result<CriExec> exec_sync(const std::string& id, const std::vector<std::string>& command,
                                    std::chrono::seconds timeout) = 0;
  virtual Result<std::optional<CriImage>> image_status(const std::string& reference) = 0;
  // Ends at once, as `cancelled`, when it is given up.
  virtual Result<std::string> pull_image(const std::string& reference, std::stop_token given_up) = 0;
};

// `socket` is a path. Connects lazily; calls fail with `unavailable` while nobody listens.
std::unique_ptr<RuntimeClient> connect_runtime(const std::string& socket);

}  // namespace podshim::podlet
