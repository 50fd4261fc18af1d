#include "shim/apply/probe.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "common/ids.h"
#include "common/sys/file.h"
#include "common/sys/memfd.h"
#include "common/sys/mount.h"
#include "shim/apply/mountinfo.h"

namespace podshim {
namespace {

constexpr int kCapSysResource = 24;
constexpr int kSeccompModeFilter = 2;  // linux/seccomp.h

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from <= text.size();) {
    auto to = std::min(text.find(separator, from), text.size());
    if (to > from) out.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::uint64_t status_mask(const std::string& status, const std::string& name) {
  auto at = status.find(name + ":\t");
  std::uint64_t out = 0;
  if (at != std::string::npos) {
    at += name.size() + 2;
    std::from_chars(status.data() + at, status.data() + status.size(), out, 16);
  }
  return out;
}

Result<> gather_capabilities(const ProbeRoots& roots, HostFacts& facts) {
  const std::string status = TRY(sys::read_file(roots.proc + "/self/status"));
  facts.capabilities = status_mask(status, "CapBnd") & status_mask(status, "CapPrm");
  facts.can_lower_oom_score = facts.can_raise_rlimits = (facts.capabilities >> kCapSysResource & 1) != 0;
  const std::string last = first_line(TRY(sys::read_file(roots.proc + "/sys/kernel/cap_last_cap")));
  std::from_chars(last.data(), last.data() + last.size(), facts.last_capability);
  return {};
}

bool is_below(const std::string& path, const std::string& dir) {
  return path.size() > dir.size() && path.starts_with(dir) && path[dir.size()] == '/';
}

// Pure v2: cgroup2 on the cgroup root. Else the v1 hierarchies mounted below it; a cgroup2 beside them has no
// controllers of use ("hybrid").
Result<> gather_cgroups(const ProbeRoots& roots, HostFacts& facts) {
  for (const auto& mount : parse_mountinfo(TRY(sys::read_file(roots.proc + "/self/mountinfo")))) {
    if (mount.type == "cgroup2" && mount.mount_point == roots.cgroup) facts.cgroup_v2_root = mount.mount_point;
    if (mount.type != "cgroup" || mount.root != "/" || !is_below(mount.mount_point, roots.cgroup)) continue;
    for (const auto& option : words(mount.super_options, ','))
      if (option != "rw" && option != "ro" && !option.starts_with("name="))
        facts.cgroup_v1_mounts.emplace(option, mount.mount_point);
  }
  if (!facts.cgroup_v2_root.empty()) {
    facts.cgroup = CgroupVersion::v2;
    facts.cgroup_v1_mounts.clear();
    const std::string controllers = first_line(TRY(sys::read_file(facts.cgroup_v2_root + "/cgroup.controllers")));
    facts.cgroup_v2_controllers = words(controllers, ' ');
    return {};
  }
  facts.cgroup = CgroupVersion::v1;
  for (const char* needed : {"memory", "freezer"})
    if (!facts.cgroup_v1_mounts.contains(needed))
      return fail(Error::of(ErrorKind::failed_precondition, "probe", roots.cgroup,
                            std::string("neither cgroup2 there nor the v1 controller \"") + needed + "\" below it"));
  return {};
}

// The file exists in every cgroup but the root, so one is made to look.
bool try_cgroup_kill(const HostFacts& facts) {
  if (facts.cgroup != CgroupVersion::v2) return false;
  const std::string dir = facts.cgroup_v2_root + "/podshim-probe-" + random_hex(4);
  if (!sys::make_dir(dir)) return false;
  const bool found = sys::exists(dir + "/cgroup.kill");
  (void)sys::remove_dir(dir);
  return found;
}

// Before 6.5 overlayfs has no parser of its own: any key is taken as text and refused only by the mount. So a key that
// no kernel knows must be refused as well.
bool try_lowerdir_plus() {
  Fd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  return context && ::fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", "/", 0) == 0 &&
         ::fsconfig(context.get(), FSCONFIG_SET_STRING, "podshim-no-such-option", "/", 0) != 0;
}

bool try_memfd_exec() {
  constexpr std::array<std::string_view, 1> kText = {"#!"};
  return sys::sealed_memfd("podshim-probe", sys::MemfdKind::program, kText).has_value();
}

Result<Fd> scratch_mount() {
  const std::array<sys::MountOption, 1> options = {{{"size", "4096"}}};
  return sys::new_mount("tmpfs", options, 0);
}

bool try_recursive_readonly() {
  auto mount = scratch_mount();
  struct mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  return mount && ::mount_setattr(mount->get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) == 0;
}

// A filter at address 0: EFAULT from a kernel that would have taken one (seccomp(2)).
bool try_seccomp() { return ::prctl(PR_SET_SECCOMP, kSeccompModeFilter, nullptr, 0, 0) != 0 && errno == EFAULT; }

}  // namespace

Result<HostFacts> gather_host_facts(const ProbeRoots& roots, const ProbeOverrides& off) {
  HostFacts facts;
  TRY_IN(gather_capabilities(roots, facts), "gather host facts");
  TRY_IN(gather_cgroups(roots, facts), "gather host facts");
  facts.hostname = first_line(TRY(sys::read_file(roots.proc + "/sys/kernel/hostname")));
  facts.page_size = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  facts.cgroup_kill = !off.no_cgroup_kill && try_cgroup_kill(facts);
  facts.overlay_lowerdir_plus = !off.no_overlay_lowerdir_plus && try_lowerdir_plus();
  facts.memfd_exec = !off.no_memfd_exec && try_memfd_exec();
  facts.recursive_readonly = !off.no_recursive_readonly && try_recursive_readonly();
  facts.seccomp = !off.no_seccomp && try_seccomp();
  return facts;
}

}  // namespace podshim
