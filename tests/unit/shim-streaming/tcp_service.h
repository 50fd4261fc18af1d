// A TCP service on 127.0.0.1 that stands for one inside a Pod: answers each connection by `serve` in a thread of its
// own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/fd.h"

namespace podshim::streaming::test {

class TcpService {
 public:
  explicit TcpService(std::function<void(int fd)> serve) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_.get(), 128);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      std::vector<std::thread> threads;
      for (int fd; (fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
        threads.emplace_back([serve, fd] {
          serve(fd);
          ::close(fd);
        });
      for (auto& thread : threads) thread.join();
    });
  }
  ~TcpService() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::uint16_t port() const { return port_; }

 private:
  Fd listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// Gives back what it gets, until the client has ended; then `farewell`.
inline std::function<void(int)> echo(std::string farewell = {}) {
  return [farewell](int fd) {
    char buffer[16384];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      for (ssize_t done = 0, m; done < n; done += m)
        if ((m = ::send(fd, buffer + done, n - done, MSG_NOSIGNAL)) <= 0) return;
    ::send(fd, farewell.data(), farewell.size(), MSG_NOSIGNAL);
  };
}

}  // namespace podshim::streaming::test
