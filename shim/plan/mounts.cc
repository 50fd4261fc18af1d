#include "shim/plan/mounts.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>

namespace podshim {
namespace {

using Kind = MountPlan::Kind;

constexpr std::uint64_t kSafe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// What may be covered below /proc: files that lxcfs replaces. Anything else there could fake what a program trusts
// (/proc/self, /proc/sys).
constexpr std::array<std::string_view, 10> kProcFiles = {"/proc/cpuinfo",
                                                         "/proc/diskstats",
                                                         "/proc/meminfo",
                                                         "/proc/stat",
                                                         "/proc/swaps",
                                                         "/proc/uptime",
                                                         "/proc/loadavg",
                                                         "/proc/slabinfo",
                                                         "/proc/sys/kernel/ns_last_pid",
                                                         "/proc/sys/crypto/fips_enabled"};

bool below(const std::string& path, const std::string& dir) {
  return path.size() > dir.size() && path.starts_with(dir) && path[dir.size()] == '/';
}

std::string index_field(std::size_t i) { return "config.mounts[" + std::to_string(i) + "]"; }

void add_dev(std::vector<MountPlan>& out, const MountInput& in) {
  out.push_back({.kind = Kind::fresh,
                 .target = "/dev",
                 .source = "tmpfs",
                 .options = "mode=755,size=65536k",
                 .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME});
  if (in.container.tty) {
    out.push_back({.kind = Kind::given, .target = "/dev/pts", .slot = Slot::pts});
    out.push_back({.kind = Kind::given, .target = "/dev/console", .slot = Slot::console});
  } else {
    out.push_back({.kind = Kind::fresh,
                   .target = "/dev/pts",
                   .source = "devpts",
                   .options = "mode=0620,ptmxmode=0666,gid=5",
                   .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC});
  }
  if (in.namespaces.host_ipc) {
    out.push_back({.target = "/dev/shm", .source = "/dev/shm", .attributes = kSafe, .propagation = MS_PRIVATE});
  } else if ((in.namespaces.clone.namespaces & clone_flag(Slot::ipc)) != 0) {
    out.push_back({.kind = Kind::fresh,
                   .target = "/dev/shm",
                   .source = "tmpfs",
                   .options = "mode=1777,size=65536k",
                   .attributes = kSafe});
  } else {
    out.push_back({.kind = Kind::given, .target = "/dev/shm", .slot = Slot::shm});
  }
  out.push_back({.kind = Kind::fresh, .target = "/dev/mqueue", .source = "mqueue", .attributes = kSafe});
}

// v1: a tmpfs with the container's own directory of each hierarchy, as containerd shows it. v2: one file system, whose
// root is the container's own cgroup by the cgroup namespace, or the host's when privileged.
void add_cgroup(std::vector<MountPlan>& out, const MountInput& in, std::uint64_t readonly) {
  const std::string base = "/sys/fs/cgroup";
  if (in.host.cgroup == CgroupVersion::v2) {
    out.push_back({.kind = Kind::fresh, .target = base, .source = "cgroup2", .attributes = kSafe | readonly});
    return;
  }
  out.push_back({.kind = Kind::fresh,
                 .target = base,
                 .source = "tmpfs",
                 .options = "mode=755,size=64k",
                 .attributes = kSafe,
                 .readonly_at_end = readonly != 0});
  for (const auto& dir : in.cgroup.directories()) {
    const std::string mount = dir.substr(0, dir.size() - in.cgroup.path.size());
    const std::string name = mount.substr(mount.rfind('/') + 1);
    out.push_back({.target = base + "/" + name,
                   .source = dir,
                   .recursive = false,
                   .attributes = kSafe | readonly,
                   .propagation = MS_PRIVATE});
  }
}

void add_files(std::vector<MountPlan>& out, const MountInput& in) {
  const std::uint64_t readonly = in.container.security.readonly_rootfs ? MOUNT_ATTR_RDONLY : 0;
  auto add = [&](const char* target, const std::string& source) {
    if (!source.empty())
      out.push_back(
          {.target = target, .source = source, .recursive = false, .attributes = readonly, .propagation = MS_PRIVATE});
  };
  add("/etc/hostname", in.facts.hostname_path);
  add("/etc/hosts", in.facts.hosts_path);
  add("/etc/resolv.conf", in.facts.resolv_conf_path);
}

std::vector<MountPlan> default_mounts(const MountInput& in) {
  const std::uint64_t readonly = in.container.security.privileged ? 0 : MOUNT_ATTR_RDONLY;
  std::vector<MountPlan> out;
  out.push_back({.kind = Kind::fresh, .target = "/proc", .source = "proc", .attributes = kSafe});
  out.push_back({.kind = Kind::fresh, .target = "/sys", .source = "sysfs", .attributes = kSafe | readonly});
  add_cgroup(out, in, readonly);
  add_dev(out, in);
  add_files(out, in);
  return out;
}

std::uint64_t propagation_flag(Mount::Propagation p) {
  switch (p) {
    case Mount::Propagation::private_:
      return MS_PRIVATE;
    case Mount::Propagation::host_to_container:
      return MS_SLAVE;
    case Mount::Propagation::bidirectional:
      return MS_SHARED;
  }
  return MS_PRIVATE;
}

Result<> check_recursive(const Mount& m, std::size_t i, const HostFacts& host) {
  if (!m.recursive_readonly) return {};
  const std::string field = index_field(i) + ".recursive_read_only";
  if (!m.readonly) return fail(Error::invalid(field, "true, while readonly is false"));
  if (m.propagation != Mount::Propagation::private_)
    return fail(Error::invalid(field, "true, while propagation is not PROPAGATION_PRIVATE"));
  if (!host.recursive_readonly) return fail(Error::invalid(field, "this kernel has no recursive mount_setattr(2)"));
  return {};
}

// The monitor has the images as volumes in their order.
Result<MountPlan> plan_image_volume(const MountInput& in, std::size_t i, MountPlan out) {
  int before = 0;
  for (std::size_t j = 0; j < i; j++) before += in.container.mounts[j].image.empty() ? 0 : 1;
  if (before >= kMaxImageVolumes)
    return fail(Error::invalid(index_field(i) + ".image",
                               "more than " + std::to_string(kMaxImageVolumes) + " images as volumes"));
  out.kind = Kind::given;
  out.slot = static_cast<Slot>(static_cast<int>(Slot::volume) + before);
  out.recursive = false;
  out.attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  return out;
}

Result<MountPlan> plan_request(const MountInput& in, std::size_t i) {
  const Mount& m = in.container.mounts[i];
  const std::string field = index_field(i) + ".container_path";
  MountPlan out{.target = clean_path(m.container_path)};
  if (m.container_path.empty() || out.target == "/")
    return fail(Error::invalid(field, "\"" + m.container_path + "\" is the root of the container"));
  if (below(out.target, "/proc") && std::find(kProcFiles.begin(), kProcFiles.end(), out.target) == kProcFiles.end())
    return fail(Error::invalid(field, "\"" + m.container_path + "\" is inside /proc"));
  TRY(check_recursive(m, i, in.host));
  if (!m.image.empty()) return plan_image_volume(in, i, std::move(out));
  out.source = TRY(mount_source(m, i, in.sandbox, in.facts));
  out.attributes = m.readonly ? MOUNT_ATTR_RDONLY : 0;
  out.recursive_attributes = m.recursive_readonly;
  out.propagation = propagation_flag(m.propagation);
  return out;
}

// True when a mount of the request stands for the default one on `target`.
bool replaced(const std::vector<MountPlan>& requested, const std::string& target) {
  for (const auto& m : requested) {
    if (m.target == target) return true;
    if ((m.target == "/dev" || m.target == "/sys" || m.target == "/sys/fs/cgroup") && below(target, m.target))
      return true;
  }
  return false;
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::bind:
      return "bind";
    case Kind::fresh:
      return "new";
    case Kind::given:
      return "given";
  }
  return "?";
}

}  // namespace

std::string MountPlan::print() const {
  std::string out = target + " " + kind_name(kind) + " " +
                    (kind == Kind::given ? "slot " + std::to_string(static_cast<int>(slot)) : source);
  if (!options.empty()) out += " " + options;
  if ((attributes & MOUNT_ATTR_RDONLY) != 0) out += recursive_attributes ? " rro" : " ro";
  if (readonly_at_end) out += " ro-at-end";
  if (propagation == MS_SLAVE) out += " rslave";
  if (propagation == MS_SHARED) out += " rshared";
  return out;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t from = 0; from <= path.size();) {
    auto to = std::min(path.find('/', from), path.size());
    auto part = path.substr(from, to - from);
    from = to + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string out;
  for (auto part : parts) out += "/" + std::string(part);
  return out.empty() ? "/" : out;
}

int path_depth(std::string_view clean) {
  return clean == "/" ? 0 : static_cast<int>(std::count(clean.begin(), clean.end(), '/'));
}

Result<std::string> mount_source(const Mount& mount, std::size_t index, const SandboxSpec& sandbox,
                                 const SandboxFacts& facts) {
  const std::string field = index_field(index) + ".host_path";
  constexpr std::string_view kVolume = "volume:";
  if (mount.host_path.starts_with(kVolume)) {
    const std::string name = mount.host_path.substr(kVolume.size());
    const auto& known = sandbox.shared_volumes;
    if (name.empty() || name.find('/') != std::string::npos ||
        std::find(known.begin(), known.end(), name) == known.end())
      return fail(Error::invalid(field, "\"" + mount.host_path + "\": the sandbox has no shared volume of that name"));
    return facts.volumes_dir + "/" + name;
  }
  if (!mount.host_path.starts_with('/'))
    return fail(Error::invalid(field, "\"" + mount.host_path + "\" is not absolute"));
  return mount.host_path;
}

Result<std::vector<MountPlan>> plan_mounts(const MountInput& input) {
  std::vector<MountPlan> requested;
  for (std::size_t i = 0; i < input.container.mounts.size(); i++) requested.push_back(TRY(plan_request(input, i)));
  std::vector<MountPlan> out;
  auto add = [&](MountPlan mount) {  // behind all that are not deeper
    auto deeper = [](const MountPlan& a, const MountPlan& b) { return path_depth(a.target) < path_depth(b.target); };
    out.insert(std::upper_bound(out.begin(), out.end(), mount, deeper), std::move(mount));
  };
  for (auto& mount : default_mounts(input))
    if (!replaced(requested, mount.target)) add(std::move(mount));
  for (auto& mount : requested) add(std::move(mount));
  return out;
}

}  // namespace podshim
