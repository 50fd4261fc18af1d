#include "shim/apply/files.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <array>

#include "common/sys/file.h"
#include "common/sys/mount.h"

namespace podshim {
namespace {

// The mode as said, whatever the daemon's umask.
Result<> set_mode(const std::string& path, mode_t mode) {
  if (::chmod(path.c_str(), mode) != 0) return fail(Error::sys("chmod", path));
  return {};
}

// In place, not by rename: a running container has this very file mounted.
Result<std::string> write_one(const std::string& path, const std::string& text) {
  TRY(sys::write_file(path, text, 0644));
  TRY(set_mode(path, 0644));
  return path;
}

}  // namespace

Result<> write_sandbox_files(const std::string& dir, const SandboxFiles& files, SandboxFacts& facts) {
  facts.hosts_path = TRY(write_one(dir + "/hosts", files.hosts));
  facts.hostname_path = TRY(write_one(dir + "/hostname", files.hostname));
  facts.resolv_conf_path = TRY(write_one(dir + "/resolv.conf", files.resolv_conf));
  return {};
}

Result<Fd> make_shm(std::uint64_t size_bytes) {
  const std::array<sys::MountOption, 2> options = {{{"size", std::to_string(size_bytes)}, {"mode", "1777"}}};
  return sys::new_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

Result<> make_volumes(const std::string& dir, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  TRY(sys::make_dirs(dir));
  for (const auto& name : names) {
    TRY(sys::make_dir(dir + "/" + name));
    TRY(set_mode(dir + "/" + name, 0777));
  }
  return {};
}

std::string read_host_file(const std::string& path) { return sys::read_file(path, 1UL << 20).value_or(""); }

}  // namespace podshim
