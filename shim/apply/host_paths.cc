#include "shim/apply/host_paths.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/sys/file.h"
#include "shim/apply/mountinfo.h"

namespace podshim {
namespace {

constexpr unsigned kMask = STATX_TYPE | STATX_MODE | STATX_UID | STATX_GID | STATX_MNT_ID;

Result<struct statx> look(const std::string& path, int flags = 0) {
  struct statx st{};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | flags, kMask, &st) != 0)
    return fail(Error::sys("stat", path));
  return st;
}

Result<> check_shared(const std::string& field, const std::string& path, std::uint64_t mount_id) {
  for (const auto& mount : parse_mountinfo(TRY(sys::read_file("/proc/self/mountinfo"))))
    if (mount.id == mount_id && mount.shared) return {};
  return fail(Error::invalid(field + ".propagation",
                             "PROPAGATION_BIDIRECTIONAL, while \"" + path + "\" is not on a shared mount of the node"));
}

bool is_device(const struct statx& st) { return S_ISCHR(st.stx_mode) || S_ISBLK(st.stx_mode); }

DeviceNode make_node(const std::string& host, const std::string& inside, const struct statx& st,
                     const std::string& access) {
  return {.host_path = host,
          .container_path = inside,
          .type = S_ISBLK(st.stx_mode) ? 'b' : 'c',
          .major = st.stx_rdev_major,
          .minor = st.stx_rdev_minor,
          .mode = static_cast<std::uint32_t>(st.stx_mode & 07777),
          .uid = st.stx_uid,
          .gid = st.stx_gid,
          .permissions = access};
}

// Has its own meaning in each container, or is no device for one.
bool is_skipped(const std::string& name) {
  constexpr std::array<std::string_view, 8> kSkipped = {"pts",  "shm",         "mqueue", "fd",
                                                        ".lxc", ".lxd-mounts", ".udev",  "console"};
  return std::find(kSkipped.begin(), kSkipped.end(), name) != kSkipped.end();
}

Result<> walk(const std::string& host, const std::string& inside, const std::string& access,
              std::vector<DeviceNode>& out) {
  for (const auto& name : TRY(sys::list_dir(host))) {
    if (is_skipped(name)) continue;
    auto st = look(host + "/" + name, AT_SYMLINK_NOFOLLOW);
    if (!st && st.error().is(ENOENT)) continue;  // went while we looked
    if (!st) return fail(std::move(st).error());
    if (S_ISDIR(st->stx_mode)) TRY(walk(host + "/" + name, inside + "/" + name, access, out));
    if (is_device(*st)) out.push_back(make_node(host + "/" + name, inside + "/" + name, *st, access));
  }
  return {};
}

Result<> look_at_source(const std::string& field, const std::string& source, Mount::Propagation propagation) {
  auto st = look(source);
  if (!st && (st.error().is(ENOENT) || st.error().is(ENOTDIR))) {
    Error error = Error::invalid(field + ".host_path", "\"" + source + "\" does not exist on the node");
    error.code = st.error().code;
    return fail(std::move(error));
  }
  if (!st) return fail(std::move(st).error().within(field));
  if (propagation == Mount::Propagation::bidirectional) TRY(check_shared(field, source, st->stx_mnt_id));
  return {};
}

Result<> look_at_device(const std::string& field, const Device& device, std::vector<DeviceNode>& out) {
  auto st = look(device.host_path);
  if (!st) {
    Error error = Error::invalid(field, "\"" + device.host_path + "\": " + errno_name(st.error().code));
    error.code = st.error().code;
    return fail(std::move(error));
  }
  if (S_ISDIR(st->stx_mode)) return walk(device.host_path, device.container_path, device.permissions, out);
  if (!is_device(*st)) return fail(Error::invalid(field, "\"" + device.host_path + "\" is no device"));
  out.push_back(make_node(device.host_path, device.container_path, *st, device.permissions));
  return {};
}

}  // namespace

Result<std::vector<MountLook>> mount_looks(const SandboxSpec& sandbox, const ContainerSpec& container,
                                           const SandboxFacts& facts) {
  std::vector<MountLook> out;
  for (std::size_t i = 0; i < container.mounts.size(); i++) {
    const auto& mount = container.mounts[i];
    if (!mount.image.empty()) continue;
    std::string source = TRY(mount_source(mount, i, sandbox, facts));
    auto look = [field = "config.mounts[" + std::to_string(i) + "]", source, propagation = mount.propagation] {
      return look_at_source(field, source, propagation);
    };
    out.push_back({.path = std::move(source), .look = std::move(look)});
  }
  return out;
}

std::vector<MountLook> device_looks(const ContainerSpec& container, const std::shared_ptr<std::vector<DeviceNode>>& out,
                                    const std::string& dev_dir) {
  std::vector<MountLook> looks;
  if (container.security.privileged)
    looks.push_back({.path = dev_dir, .look = [dev_dir, out] { return walk(dev_dir, "/dev", "rwm", *out); }});
  for (std::size_t i = 0; i < container.devices.size(); i++) {
    const auto& device = container.devices[i];
    auto look = [field = "config.devices[" + std::to_string(i) + "].host_path", device, out] {
      return look_at_device(field, device, *out);
    };
    looks.push_back({.path = device.host_path, .look = std::move(look)});
  }
  return looks;
}

// What the kernel remembers of a directory says nothing about its server, which the opening of the log will ask: so
// does this. Of a directory that is missing the nearest one that is there tells.
MountLook log_look(const std::string& log_path) {
  const std::string dir = log_path.substr(0, log_path.rfind('/'));
  auto look = [dir]() -> Result<> {
    struct statx st{};
    for (std::string at = dir; !at.empty(); at.resize(at.rfind('/')))
      if (::statx(AT_FDCWD, at.c_str(), AT_STATX_FORCE_SYNC, STATX_TYPE, &st) == 0 || errno != ENOENT) break;
    return {};
  };
  return {.path = dir, .look = std::move(look), .what = "log directory"};
}

}  // namespace podshim
