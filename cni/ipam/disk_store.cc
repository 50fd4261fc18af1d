#include "cni/ipam/disk_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::cni::ipam {

Result<std::unique_ptr<DiskStore>> DiskStore::open(const std::string& data_dir, const std::string& network,
                                                   std::string boot_id, bool create) {
  std::string dir = data_dir + "/" + network;
  std::string path = dir + "/lock";
  auto lock = sys::open(path, O_RDWR | (create ? O_CREAT : 0), 0600);
  if (!lock && lock.error().is(ENOENT) && create) {
    TRY(sys::make_dirs(dir));
    lock = sys::open(path, O_RDWR | O_CREAT, 0600);
  }
  if (!lock) return fail(std::move(lock).error());
  if (sys::retry([&] { return ::flock(lock->get(), LOCK_EX); }) != 0) return fail(Error::sys("lock", path));
  return std::unique_ptr<DiskStore>(new DiskStore(dir, *std::move(lock), std::move(boot_id)));
}

Result<State> DiskStore::load() {
  std::string path = dir_ + "/leases";
  auto text = sys::read_file(path);
  if (!text && text.error().is(ENOENT)) return State{.boot_id = boot_id_};
  if (!text) return fail(std::move(text).error());
  auto state = decode_state(*text);
  if (!state) {
    if (text->find("\nboot " + boot_id_ + "\n") != std::string::npos)
      return fail(std::move(state).error().within("read " + path));
    log::warn("set aside a broken file of leases of another boot", {{"file", path}, {"error", state.error().text()}});
    if (std::rename(path.c_str(), (path + ".bad").c_str()) != 0) return fail(Error::sys("rename", path));
    return State{.boot_id = boot_id_};
  }
  renew(*state, boot_id_);
  return state;
}

Result<> DiskStore::save(const State& state) {
  // One name under the lock: what a killed process left there is written over, never left behind.
  std::string path = dir_ + "/leases";
  TRY(sys::write_file(path + ".new", encode(state), 0600));
  if (std::rename((path + ".new").c_str(), path.c_str()) != 0) return fail(Error::sys("rename", path + ".new", path));
  return {};
}

Result<std::string> read_boot_id() {
  auto text = TRY(sys::read_file("/proc/sys/kernel/random/boot_id"));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace podshim::cni::ipam
