// SandboxRecord, ContainerRecord: what the daemon must know after its own death. JSON, one file a record.
//
// A record is written three times at most on the way up: as an intent (`created` = false: everything that is going to
// be made has its name in it), complete, and at each later change of state. A record without `created` is rolled back
// at the next start. `version` is raised when an older daemon could not make sense of it any more. encode() and
// decode_*() are pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/ip.h"
#include "common/json.h"
#include "common/result.h"
#include "common/sys/pidfd.h"
#include "shim/plan/spec.h"

namespace podshim::state {

inline constexpr int kRecordVersion = 1;

// What DEL needs, whatever becomes of the configuration directory.
struct NetworkRecord {
  std::string config;  // the network list as it was used, JSON; "" = no network of ours (host network)
  std::string source;  // the file it came from
  bool added = false;  // ADD was tried: DEL is due
  json::Value result;  // of the last plugin; null before ADD succeeded
  bool operator==(const NetworkRecord&) const = default;
};

// Of UpdatePodSandboxResources; none: what the spec has.
struct SandboxUpdate {
  std::optional<Resources> overhead, resources;
  bool operator==(const SandboxUpdate&) const = default;
};

struct SandboxRecord {
  SandboxId id;
  SandboxSpec spec;
  std::string boot_id;
  std::string instance;  // whose names it has on the machine; "": of a daemon that did not write it yet
  std::int64_t created_at_ns = 0;
  bool created = false;  // false: an intent
  bool ready = false;
  sys::ProcessId monitor, pause;
  std::string netns_path;     // "" with the host's network
  std::string cgroup_parent;  // of the containers
  std::vector<IpAddress> ips;
  NetworkRecord network;
  SandboxUpdate update;
  bool operator==(const SandboxRecord&) const = default;
};

struct ContainerExit {
  std::int32_t code = 0;
  std::int32_t signal = 0;
  bool oom_killed = false;
  std::int64_t finished_at_ns = 0;
  std::string reason, message;
  bool operator==(const ContainerExit&) const = default;
};

struct ContainerRecord {
  ContainerId id;
  SandboxId sandbox;
  ContainerSpec spec;
  std::int64_t created_at_ns = 0, started_at_ns = 0;
  bool created = false;  // false: an intent
  std::string image_id, image_reference;
  std::vector<std::string> volume_images;  // ids, of the spec's image mounts in their order
  ImageProcess image_process;
  std::string log_path;  // absolute; "" = output is discarded
  ProcessUser user;
  sys::ProcessId process;
  std::optional<ContainerExit> exit;
  std::uint64_t log_lost = 0;          // bytes of it that are not in its log
  std::optional<Resources> resources;  // the limits since an update; none: those of the spec
  bool updating = false;               // they may not all have been written yet
  Resources limits() const { return resources ? *resources : spec.resources.value_or(Resources{}); }
  bool operator==(const ContainerRecord&) const = default;
};

std::string encode(const SandboxRecord& record);
std::string encode(const ContainerRecord& record);
// internal: not JSON, a wrong type, an unknown version, no id; `subject` names the field.
Result<SandboxRecord> decode_sandbox(std::string_view text);
Result<ContainerRecord> decode_container(std::string_view text);

// "metadata.labels.app: "a" became "b"": the first field in which the two differ; "" when they are the same config.
std::string first_difference(const SandboxSpec& was, const SandboxSpec& is);
std::string first_difference(const ContainerSpec& was, const ContainerSpec& is);

}  // namespace podshim::state
