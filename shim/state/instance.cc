#include "shim/state/instance.h"

#include <sys/file.h>
#include <unistd.h>

#include "common/sys/file.h"

namespace podshim::state {
namespace {

Result<Fd> lock(const std::string& dir) {
  std::string path = dir + "/lock";
  Fd fd = TRY(sys::open(path, O_RDWR | O_CREAT, 0600));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(Error::sys("flock", path));
    std::string owner = sys::read_file(path, 64).value_or("");
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    Error e = Error::of(ErrorKind::unavailable, "lock", dir, "another podshim runs on this directory, pid " + owner);
    e.code = EWOULDBLOCK;
    return fail(std::move(e));
  }
  if (::ftruncate(fd.get(), 0) != 0) return fail(Error::sys("ftruncate", path));
  // A full disk must not keep the daemon from starting: the pid is for the message alone.
  (void)sys::write_all(fd, std::to_string(::getpid()) + "\n", path);
  return fd;
}

bool is_instance_id(const std::string& text) {
  if (text.size() != 6) return false;
  return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<Instance> Instance::open(const std::string& root, const std::string& state) {
  TRY(sys::make_dirs(root, 0711));
  TRY(sys::make_dirs(state, 0711));
  Instance out;
  out.root_lock_ = TRY(lock(root));
  if (root != state) out.state_lock_ = TRY(lock(state));

  std::string path = root + "/instance";
  auto text = sys::read_file(path, 256);
  if (text) {
    while (!text->empty() && text->back() == '\n') text->pop_back();
    out.id_ = *text;
  }
  if (is_instance_id(out.id_)) return out;
  if (text || !text.error().is(ENOENT)) out.replaced_ = text ? "not 6 hex digits" : text.error().text();
  out.id_ = random_hex(3);
  TRY(sys::write_file_atomic(path, out.id_ + "\n", 0644, /*durable=*/true));
  return out;
}

}  // namespace podshim::state
