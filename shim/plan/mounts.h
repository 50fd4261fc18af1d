// Mounts of a container: defaults and the request's, merged, checked, ordered; then as steps. Pure; any thread.
//
// A request's mount replaces the default one of the same path; one on /dev or /sys takes the defaults below it away.
// Order: by depth of the path, defaults first among equals, so parents come before children.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/facts.h"
#include "shim/plan/namespaces.h"
#include "shim/plan/program.h"
#include "shim/plan/spec.h"

namespace podshim {

// Of the running sandbox, on the host.
struct SandboxFacts {
  std::string hosts_path, hostname_path, resolv_conf_path;  // generated files; "" = not mounted
  std::string volumes_dir;                                  // holds one directory per shared volume
  std::string staging_dir;  // any existing directory: the root is attached there in the container's own mount namespace
  std::string hostname;     // of its uts namespace
  bool operator==(const SandboxFacts&) const = default;
};

struct MountPlan {
  enum class Kind {
    bind,   // `source` of the host; or of `slot`
    fresh,  // a new file system `source` with `options`
    given,  // the mount the monitor has in `slot`
  } kind = Kind::bind;
  std::string target;  // absolute, clean
  std::string source, options;
  Slot slot = Slot::none;
  bool recursive = true;
  std::uint64_t attributes = 0;  // MOUNT_ATTR_* set
  bool recursive_attributes = false;
  std::uint64_t propagation = 0;  // MS_PRIVATE, MS_SLAVE, MS_SHARED; 0 = as it is
  bool readonly_at_end = false;   // read-only once the mount points below it are made
  bool operator==(const MountPlan&) const = default;
  std::string print() const;
};

struct MountInput {
  const SandboxSpec& sandbox;
  const ContainerSpec& container;
  const SandboxFacts& facts;
  const HostFacts& host;
  const NamespacePlan& namespaces;
  const CgroupPaths& cgroup;
};

// The steps: binds are taken from the host before "/" becomes rslave (a Bidirectional one must be the host's peer),
// then the root is attached, every mount goes below it in order, `below` follows, and what is read-only at the end
// becomes so. Slots from first_free on are used; too many mounts is an error.
Result<> add_mount_steps(Program& program, const std::vector<MountPlan>& mounts, const std::string& staging_dir,
                         const Program& below);

// Clean absolute form: "a//b/../c/" -> "/a/c". Never climbs above "/".
std::string clean_path(std::string_view path);
int path_depth(std::string_view clean);

Result<std::vector<MountPlan>> plan_mounts(const MountInput& input);
// Host path of a request's mount: volume:<name> is resolved. Errors name mounts[i].
Result<std::string> mount_source(const Mount& mount, std::size_t index, const SandboxSpec& sandbox,
                                 const SandboxFacts& facts);

}  // namespace podshim
