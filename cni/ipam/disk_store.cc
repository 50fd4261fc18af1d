#include "cni/ipam/disk_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::cni::ipam {
namespace {

Result<std::optional<std::string>> read_if_there(const std::string& path) {
  auto text = sys::read_file(path);
  if (!text && text.error().is(ENOENT)) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  return *std::move(text);
}

}  // namespace

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
  auto text = TRY(read_if_there(dir_ + "/leases"));
  if (text) {
    if (auto state = decode_state(*text)) {
      renew(*state, boot_id_);
      return state;
    }
  }
  return recover(text);
}

Result<State> DiskStore::recover(const std::optional<std::string>& leases) {
  const std::string path = dir_ + "/leases", other = path + ".new";
  auto found = salvage(leases.value_or(""));
  bool ours = had_leases() || found.boot_id == boot_id_;
  if (!ours && !leases) return State{.boot_id = boot_id_};
  if (leases && std::rename(path.c_str(), (path + ".bad").c_str()) != 0) return fail(Error::sys("rename", path));
  if (!ours) {
    log::warn("set aside a broken file of leases of another boot", {{"file", path + ".bad"}});
    return State{.boot_id = boot_id_};
  }
  if (found.boot_id != boot_id_ && !found.boot_id.empty()) found = {};
  auto text = TRY(read_if_there(other));
  auto state = decode_state(text.value_or(""));
  bool whole = state && state->boot_id == boot_id_;
  State out = whole ? *std::move(state) : salvage(text.value_or(""));
  if (!whole && text && std::rename(other.c_str(), (other + ".bad").c_str()) != 0)
    return fail(Error::sys("rename", other));
  if (!out.boot_id.empty() && out.boot_id != boot_id_) out = {};
  // The two are equal, or a kill came between them: one more lease at worst, which GC frees.
  for (auto& lease : found.leases)
    if (find(out, lease.owner) == nullptr) out.leases.push_back(std::move(lease));
  out.boot_id = boot_id_;
  out.lost = out.lost || !whole;
  log::warn("the file of leases was damaged", {{"file", path},
                                               {"kept", leases ? path + ".bad" : "nothing: it was gone"},
                                               {"leases", out.leases.size()},
                                               {"lost", out.lost ? "perhaps some: no address is handed out" : "none"}});
  TRY(save(out));
  return out;
}

bool DiskStore::had_leases() const {
  std::string marked(boot_id_.size() + 1, '\0');
  auto n = sys::retry([&] { return ::pread(lock_.get(), marked.data(), marked.size(), 0); });
  return n == static_cast<ssize_t>(boot_id_.size()) && marked.starts_with(boot_id_);
}

Result<> DiskStore::write_copy(const std::string& text) const {
  const std::string next = dir_ + "/leases.new";
  Fd fd = TRY(sys::open(next, O_WRONLY | O_CREAT, 0600));
  TRY(sys::write_all(fd, text, next));
  if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) != 0) return fail(Error::sys("ftruncate", next));
  return {};
}

Result<> DiskStore::save(const State& state) {
  // Swapped, not renamed over: ext4 starts to write a file that replaces another one to the disk, which takes longer
  // than all else here, and leases do not outlive the boot anyway (auto_da_alloc, ext4(5)). No inode is made and freed.
  const std::string path = dir_ + "/leases", next = path + ".new", text = encode(state);
  TRY(write_copy(text));
  // The rename is for the first one, and for a file system that cannot swap.
  if (::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0 &&
      std::rename(next.c_str(), path.c_str()) != 0)
    return fail(Error::sys("rename", next, path));
  // What counts is there: a second copy that fails (no space) costs no more than itself.
  if (auto copied = write_copy(text); !copied)
    log::warn("no second copy of the leases", {{"error", copied.error().text()}});
  if (had_leases()) return {};
  if (sys::retry([&] { return ::pwrite(lock_.get(), boot_id_.data(), boot_id_.size(), 0); }) < 0 ||
      ::ftruncate(lock_.get(), static_cast<off_t>(boot_id_.size())) != 0)
    log::warn("the boot is not noted",
              {{"file", dir_ + "/lock"}, {"error", Error::sys("write", dir_ + "/lock").text()}});
  return {};
}

Result<std::string> read_boot_id() {
  auto text = TRY(sys::read_file("/proc/sys/kernel/random/boot_id"));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace podshim::cni::ipam
