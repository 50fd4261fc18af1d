// Listener: the daemon's unix socket. Owned by a lock, mode 0600 from its first moment, open to root and our own user.
//
// open() takes <path>.lock (flock, held until the object goes; the file holds our pid) before it touches the socket: a
// second daemon fails at once and names the first. A socket nobody listens on is removed; one that another program
// serves, or a file that is no socket, is an error. The socket accepts connections into its backlog from then on. The
// destructor removes the socket; the lock file stays, since removing it would let two daemons hold "the" lock. Any
// thread; accept() from one.
#pragma once

#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::cri {

class Listener {
 public:
  static Result<Listener> open(const std::string& path);
  ~Listener();
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;

  int fd() const { return socket_.get(); }
  const std::string& path() const { return path_; }
  // The next waiting connection, non-blocking and close-on-exec. EAGAIN: none waits. EPERM: another user's, closed.
  Result<Fd> accept();

 private:
  Listener(std::string path, Fd lock, Fd socket)
      : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)) {}
  std::string path_;
  Fd lock_, socket_;
};

}  // namespace podshim::cri
