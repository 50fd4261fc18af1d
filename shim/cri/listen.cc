#include "shim/cri/listen.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "common/sys/file.h"
#include "common/sys/lock.h"

namespace podshim::cri {
namespace {

constexpr int kBacklog = 512;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Error::invalid("socket", "\"" + path + "\" is longer than 107 bytes, unix(7)'s limit"));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> unix_socket(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::sys("socket", path));
  return fd;
}

Result<Fd> take_lock(const std::string& path) {
  const std::string file = path + ".lock";
  Fd fd = TRY(sys::open(file, O_RDWR | O_CREAT, 0600));
  if (!TRY(sys::lock_file(fd, file))) {
    auto pid = sys::read_all(fd, file, 64);
    while (pid && !pid->empty() && pid->back() == '\n') pid->pop_back();
    return fail(Error::of(ErrorKind::unavailable, "listen", path,
                          "another podshim serves this socket" + (pid && !pid->empty() ? ", pid " + *pid : "")));
  }
  if (::ftruncate(fd.get(), 0) != 0) return fail(Error::sys("ftruncate", file));
  TRY(sys::write_all(fd, std::to_string(::getpid()) + "\n", file));
  return fd;
}

// With the lock held: what lies there is a leftover of ours, or somebody else's.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return fail(Error::sys("lstat", path));
  }
  if (!S_ISSOCK(st.st_mode))
    return fail(Error::of(ErrorKind::failed_precondition, "listen", path, "there is a file that is no socket"));
  Fd probe = TRY(unix_socket(path));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN)
    return fail(Error::of(ErrorKind::unavailable, "listen", path, "another program serves this socket"));
  if (errno != ECONNREFUSED) return fail(Error::sys("connect", path));
  return sys::remove_file(path);
}

}  // namespace

Result<Listener> Listener::open(const std::string& path) {
  const auto address = TRY(address_of(path));
  if (const auto slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    TRY(sys::make_dirs(path.substr(0, slash)));
  Fd lock = TRY(take_lock(path));
  TRY(remove_stale(path, address));
  Fd socket = TRY(unix_socket(path));
  // bind(2) makes the file with the mode of the socket's inode: 0600 from the start, and no umask, which is the
  // process's.
  if (::fchmod(socket.get(), 0600) != 0) return fail(Error::sys("fchmod", path));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::sys("bind", path));
  if (::listen(socket.get(), kBacklog) != 0) return fail(Error::sys("listen", path));
  return Listener(path, std::move(lock), std::move(socket));
}

Listener::~Listener() {
  if (socket_) (void)sys::remove_file(path_);
}

Result<Fd> Listener::accept() {
  Fd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return fail(Error::sys("accept", path_));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return fail(Error::sys("getsockopt", path_));
  if (peer.uid != 0 && peer.uid != ::geteuid())
    return fail(Error::sys("accept", path_, "uid " + std::to_string(peer.uid), EPERM));
  return fd;
}

}  // namespace podshim::cri
