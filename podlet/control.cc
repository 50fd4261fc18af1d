#include "podlet/control.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::podlet {
namespace {

constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};  // with a client that connects and says nothing

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof out.sun_path) return fail(Error::sys("socket", path, {}, ENAMETOOLONG));
  std::memcpy(out.sun_path, path.c_str(), path.size() + 1);
  return out;
}

Result<Fd> connect_to(const std::string& path) {
  auto address = TRY(address_of(path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::sys("socket", path));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::sys("connect", path));
  return fd;
}

Result<> receive_all(const Fd& fd, char* to, std::size_t size) {
  while (size > 0) {
    ssize_t n = sys::retry([&] { return ::recv(fd.get(), to, size, 0); });
    if (n < 0) return fail(Error::sys("receive", "podlet.sock"));
    if (n == 0) return fail(Error::of(ErrorKind::unavailable, "receive", "podlet.sock", "the other side closed"));
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

bool may_ask(const Fd& connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

void serve(const Fd& connection, const ControlServer::Handler& handler) {
  auto request = receive_frame(connection);
  if (!request) return;
  (void)send_frame(connection, handler(*request));  // a client that went away needs no answer
}

}  // namespace

Result<> send_frame(const Fd& socket, const json::Value& value) {
  auto text = json::dump(value);
  auto size = static_cast<std::uint32_t>(text.size());
  std::string frame(reinterpret_cast<const char*>(&size), sizeof size);
  frame += text;
  std::string_view rest = frame;
  while (!rest.empty()) {
    ssize_t n = sys::retry([&] { return ::send(socket.get(), rest.data(), rest.size(), MSG_NOSIGNAL); });
    if (n < 0) return fail(Error::sys("send", "podlet.sock"));
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<json::Value> receive_frame(const Fd& socket) {
  std::uint32_t size = 0;
  TRY(receive_all(socket, reinterpret_cast<char*>(&size), sizeof size));
  if (size > kMaxFrame)
    return fail(Error::of(ErrorKind::resource_exhausted, "receive", "podlet.sock", "the frame is too large"));
  std::string text(size, '\0');
  TRY(receive_all(socket, text.data(), size));
  return json::parse(text);
}

Result<> ControlServer::listen(const std::string& path) {
  auto address = TRY(address_of(path));
  if (auto other = connect_to(path))
    return fail(Error::of(ErrorKind::already_exists, "listen", path, "another podlet runs with this state"));
  TRY(sys::remove_file(path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::sys("socket", path));
  // fchmod on the unbound socket gives the mode that bind(2) makes the file with: there is no moment with a wider one.
  if (::fchmod(fd.get(), 0600) != 0) return fail(Error::sys("fchmod", path));
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::sys("bind", path));
  if (::chmod(path.c_str(), 0600) != 0) return fail(Error::sys("chmod", path));
  if (::listen(fd.get(), 64) != 0) return fail(Error::sys("listen", path));
  path_ = path;
  socket_ = std::move(fd);
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { accept_loop(); });
  return {};
}

void ControlServer::accept_loop() {
  for (;;) {
    pollfd fds[] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                    {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    auto connection = std::make_shared<Fd>(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!*connection) continue;
    if (!may_ask(*connection)) {
      log::warn("a stranger asked on podlet.sock; refused");
      continue;
    }
    setsockopt(connection->get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    setsockopt(connection->get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    executor_.submit(Lane::control, [this, connection] { serve(*connection, handler_); });
  }
}

ControlServer::~ControlServer() {
  if (!thread_.joinable()) return;
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
  ::unlink(path_.c_str());
}

Result<json::Value> ask(const std::string& path, const json::Value& request) {
  auto fd = connect_to(path);
  if (!fd)
    return fail(Error::of(ErrorKind::unavailable, "ask", path,
                          "no podlet runs with this state: " + errno_name(fd.error().code)));
  TRY(send_frame(*fd, request));
  return receive_frame(*fd);
}

}  // namespace podshim::podlet
