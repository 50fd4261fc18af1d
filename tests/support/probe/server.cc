#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "probe.h"

extern char** environ;

namespace probe {
namespace {

struct Server {
  std::string name;
  bool log = false;
  std::atomic<bool> ready{true}, live{true};
};

struct Request {
  std::string method, path, head;
  std::map<std::string, std::string> query;
};

struct Response {
  int status = 200;
  std::string body;
};

int hex_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

std::string unescape(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); i++) {
    if (s[i] == '%' && i + 2 < s.size() && hex_of(s[i + 1]) >= 0 && hex_of(s[i + 2]) >= 0) {
      out += static_cast<char>(hex_of(s[i + 1]) * 16 + hex_of(s[i + 2]));
      i += 2;
    } else {
      out += s[i];
    }
  }
  return out;
}

bool read_request(int fd, Request* out) {
  char buffer[4096];
  while (out->head.find("\r\n\r\n") == std::string::npos) {
    ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0 || out->head.size() > 65536) return false;
    out->head.append(buffer, static_cast<std::size_t>(n));
  }
  std::istringstream line(out->head);
  std::string target;
  line >> out->method >> target;
  auto mark = target.find('?');
  out->path = target.substr(0, mark);
  while (mark != std::string::npos) {
    std::string_view pair = std::string_view(target).substr(mark + 1);
    auto next = pair.find('&');
    pair = pair.substr(0, next);
    auto equals = pair.find('=');
    out->query[unescape(pair.substr(0, equals))] =
        equals == std::string_view::npos ? "" : unescape(pair.substr(equals + 1));
    mark = next == std::string_view::npos ? std::string::npos : mark + 1 + next;
  }
  return true;
}

int number(const Request& request, const std::string& name) {
  auto it = request.query.find(name);
  return it == request.query.end() ? 0 : std::atoi(it->second.c_str());
}

Response file(const Request& request) {
  auto path = request.query.find("path");
  if (path == request.query.end()) return {400, "path is missing\n"};
  std::ifstream in(path->second, std::ios::binary);
  if (!in) return {404, path->second + ": " + std::strerror(errno) + "\n"};
  std::ostringstream text;
  text << in.rdbuf();
  return {200, text.str()};
}

Response state(std::atomic<bool>& value, const std::string& name, const std::string& change) {
  if (change == "/on") value = true;
  if (change == "/off") value = false;
  if (!change.empty() && change != "/on" && change != "/off") return {404, "on or off\n"};
  bool ok = value;
  // The switch itself always answers 200: it worked.
  return {ok || !change.empty() ? 200 : 503, (ok ? "" : "not ") + name + "\n"};
}

Response answer(Server& server, const Request& request, const std::string& client, const std::string& client_port) {
  const std::string& path = request.path;
  if (path == "/") return {200, server.name + " " + client_port + "\n"};
  if (path == "/name") return {200, server.name};
  if (path == "/client") return {200, client};
  if (path.starts_with("/ready")) return state(server.ready, "ready", path.substr(6));
  if (path.starts_with("/live")) return state(server.live, "live", path.substr(5));
  if (path == "/file") return file(request);
  if (path == "/headers") return {200, request.head};
  if (path == "/slow") {
    sleep_ms(number(request, "ms"));
    return {200, server.name};
  }
  if (path == "/env") {
    Response out;
    for (char** e = environ; *e != nullptr; e++) out.body += std::string(*e) + "\n";
    return out;
  }
  if (path == "/exit") ::_exit(number(request, "code"));
  return {404, "no such path: " + path + "\n"};
}

void handle(Server& server, int fd, const sockaddr_storage& peer) {
  timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  Request request;
  if (read_request(fd, &request)) {
    Response response = answer(server, request, show(peer, false), show(peer, true));
    std::string out =
        "HTTP/1.1 " + std::to_string(response.status) + (response.status == 200 ? " OK" : " Error") +
        "\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " + std::to_string(response.body.size()) +
        "\r\n\r\n" + (request.method == "HEAD" ? "" : response.body);
    for (std::string_view left = out; !left.empty();) {
      ssize_t n = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(n));
    }
    if (server.log) {
      timespec now{};
      ::clock_gettime(CLOCK_REALTIME, &now);
      std::printf("%ld.%03ld %s %s %s %d\n", static_cast<long>(now.tv_sec), now.tv_nsec / 1'000'000,
                  show(peer, true).c_str(), request.method.c_str(), request.path.c_str(), response.status);
    }
  }
  ::shutdown(fd, SHUT_WR);
  ::close(fd);
}

// Dual stack where the node has IPv6, IPv4 else.
int bound_socket(int type, int port) {
  for (int family : {AF_INET6, AF_INET}) {
    int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    int on = 1, off = 0;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    auto any = resolve(family == AF_INET6 ? "::" : "0.0.0.0", port);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&any->storage), any->size) == 0) return fd;
    ::close(fd);
  }
  std::fprintf(stderr, "probe: bind port %d: %s\n", port, std::strerror(errno));
  return -1;
}

std::string own_name() {
  if (const char* name = std::getenv("POD_NAME"); name != nullptr && *name != '\0') return name;
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return host;
}

}  // namespace

int serve_udp(int port, const std::string& name) {
  int fd = bound_socket(SOCK_DGRAM, port);
  if (fd < 0) return 1;
  char buffer[65536];
  for (;;) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    ssize_t n = ::recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &size);
    if (n < 0) continue;
    std::string out = name + " " + std::string(buffer, static_cast<std::size_t>(n));
    ::sendto(fd, out.data(), out.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&peer), size);
  }
}

int serve(const Options& options) {
  static Server server;
  server.name = options.text("name", own_name());
  server.log = options.flag("log");
  server.ready = !options.flag("not-ready") && options.number("ready-after", 0) == 0;
  int port = options.number("port", 8080);
  int fd = bound_socket(SOCK_STREAM, port);
  if (fd < 0 || ::listen(fd, 1024) != 0) return 1;
  int udp_port = options.number("udp-port", port);
  std::thread([udp_port] { std::_Exit(serve_udp(udp_port, server.name)); }).detach();
  if (int ms = options.number("ready-after", 0); ms > 0) {
    std::thread([ms] {
      sleep_ms(ms);
      server.ready = true;
    }).detach();
  }
  std::printf("probe %s serves http and udp, ports %d and %d\n", server.name.c_str(), port, udp_port);
  for (;;) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    int client = ::accept4(fd, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC);
    if (client < 0) continue;
    std::thread([client, peer] { handle(server, client, peer); }).detach();
  }
}

}  // namespace probe
