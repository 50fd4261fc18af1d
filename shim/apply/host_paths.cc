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

}  // namespace

Result<> check_mount_sources(const SandboxSpec& sandbox, const ContainerSpec& container, const SandboxFacts& facts) {
  for (std::size_t i = 0; i < container.mounts.size(); i++) {
    const auto& mount = container.mounts[i];
    const std::string field = "config.mounts[" + std::to_string(i) + "]";
    const std::string source = TRY(mount_source(mount, i, sandbox, facts));
    auto st = look(source);
    if (!st && (st.error().is(ENOENT) || st.error().is(ENOTDIR))) {
      Error error = Error::invalid(field + ".host_path", "\"" + source + "\" does not exist on the node");
      error.code = st.error().code;
      return fail(std::move(error));
    }
    if (!st) return fail(std::move(st).error().within(field));
    if (mount.propagation == Mount::Propagation::bidirectional) TRY(check_shared(field, source, st->stx_mnt_id));
  }
  return {};
}

Result<std::vector<DeviceNode>> observe_devices(const ContainerSpec& container, const std::string& dev_dir) {
  std::vector<DeviceNode> out;
  if (container.security.privileged) TRY(walk(dev_dir, "/dev", "rwm", out));
  for (std::size_t i = 0; i < container.devices.size(); i++) {
    const auto& device = container.devices[i];
    const std::string field = "config.devices[" + std::to_string(i) + "].host_path";
    auto st = look(device.host_path);
    if (!st) {
      Error error = Error::invalid(field, "\"" + device.host_path + "\": " + errno_name(st.error().code));
      error.code = st.error().code;
      return fail(std::move(error));
    }
    if (S_ISDIR(st->stx_mode)) {
      TRY(walk(device.host_path, device.container_path, device.permissions, out));
    } else if (is_device(*st)) {
      out.push_back(make_node(device.host_path, device.container_path, *st, device.permissions));
    } else {
      return fail(Error::invalid(field, "\"" + device.host_path + "\" is no device"));
    }
  }
  return out;
}

}  // namespace podshim
