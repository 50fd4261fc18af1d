#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "probe.h"

namespace probe {
namespace {

using Clock = std::chrono::steady_clock;

class Deadline {
 public:
  explicit Deadline(int ms) : end_(Clock::now() + std::chrono::milliseconds(ms)) {}
  int left() const {
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return ms > 0 ? static_cast<int>(ms) : 0;
  }
  bool wait(int fd, short events) const {
    pollfd p{.fd = fd, .events = events, .revents = 0};
    return ::poll(&p, 1, left()) == 1;
  }

 private:
  Clock::time_point end_;
};

struct Outcome {
  bool ok = false;
  int status = 0;
  std::string text;  // the answer, or why there is none
};

std::string reason(int err) {
  if (err == ECONNREFUSED) return "refused";
  if (err == EHOSTUNREACH || err == ENETUNREACH) return "unreachable";
  return std::strerror(err);
}

// A connected socket, or -1 and the reason.
int dial(const Address& to, int type, const Deadline& deadline, std::string* why) {
  int fd = ::socket(to.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int err = 0;
  if (fd < 0) {
    err = errno;
  } else if (::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) != 0) {
    err = errno;
    if (err == EINPROGRESS) {
      socklen_t size = sizeof err;
      err = ETIMEDOUT;
      if (deadline.wait(fd, POLLOUT)) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
    }
  }
  if (err == 0) return fd;
  if (fd >= 0) ::close(fd);
  *why = err == ETIMEDOUT ? "timeout" : reason(err);
  return -1;
}

Outcome ask_http(const Address& to, const std::string& host, const std::string& target, int timeout) {
  Deadline deadline(timeout);
  Outcome out;
  int fd = dial(to, SOCK_STREAM, deadline, &out.text);
  if (fd < 0) return out;
  std::string request = "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n", answer;
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) out.text = reason(errno);
  char buffer[65536];
  ssize_t n = 1;
  while (n > 0) {
    if (!deadline.wait(fd, POLLIN)) {
      out.text = "timeout";
      break;
    }
    n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n > 0) answer.append(buffer, static_cast<std::size_t>(n));
    if (n < 0) out.text = reason(errno);
  }
  ::close(fd);
  auto body = answer.find("\r\n\r\n");
  if (n != 0 || body == std::string::npos || !answer.starts_with("HTTP/1.")) {
    if (out.text.empty()) out.text = "no HTTP answer";
    return out;
  }
  out.status = std::atoi(answer.c_str() + 9);
  out.ok = out.status >= 200 && out.status < 300;
  out.text = answer.substr(body + 4);
  while (!out.text.empty() && out.text.back() == '\n') out.text.pop_back();
  return out;
}

Outcome ask_udp(int fd, const std::string& text, const Deadline& deadline) {
  Outcome out;
  char buffer[65536];
  if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) {
    out.text = reason(errno);
  } else if (!deadline.wait(fd, POLLIN)) {
    out.text = "timeout";
  } else if (ssize_t n = ::recv(fd, buffer, sizeof buffer, 0); n < 0) {
    out.text = reason(errno);
  } else {
    out.ok = true;
    out.text.assign(buffer, static_cast<std::size_t>(n));
  }
  return out;
}

// Answers go to stdout, one a line; what went wrong to stderr, unless everything is counted.
class Report {
 public:
  explicit Report(const Options& options) : tally_on_(options.flag("tally")), status_(options.flag("status")) {}
  void add(const Outcome& o) {
    std::string status = o.status == 0 ? "" : std::to_string(o.status);
    std::string line = o.ok && !status_ ? o.text : (status.empty() ? "failed:" : status) + " " + o.text;
    if (!o.ok) failed_ = true;
    if (tally_on_) {
      tally_.add(line);
    } else {
      std::fprintf(o.ok || status_ ? stdout : stderr, "%s\n", line.c_str());
    }
  }
  int finish() const {
    if (tally_on_) tally_.print();
    return failed_ ? 1 : 0;
  }

 private:
  bool tally_on_, status_, failed_ = false;
  Tally tally_;
};

Address target_of(const std::string& text, int default_port, std::string* host) {
  int port = 0;
  if (!split_host_port(text, host, &port, default_port)) usage("'" + text + "' is not HOST:PORT");
  auto to = resolve(*host, port);
  if (!to) {
    std::fprintf(stderr, "probe: '%s' is no address and not in /etc/hosts\n", host->c_str());
    std::exit(1);
  }
  return *to;
}

template <typename Ask>
int repeat(const Options& options, Ask ask) {
  Report report(options);
  int count = options.number("count", 1), interval = options.number("interval", 0);
  for (int i = 0; i < count; i++) {
    if (i > 0 && interval > 0) sleep_ms(interval);
    report.add(ask());
  }
  return report.finish();
}

}  // namespace

int get(const Options& options) {
  if (options.positional().size() != 1) usage("get wants one URL");
  std::string url = options.positional()[0], host;
  if (url.starts_with("http://")) url.erase(0, 7);
  auto slash = url.find('/');
  std::string path = slash == std::string::npos ? "/" : url.substr(slash), authority = url.substr(0, slash);
  Address to = target_of(authority, 80, &host);
  int timeout = options.number("timeout", 5000);
  return repeat(options, [&] { return ask_http(to, authority, path, timeout); });
}

int udp(const Options& options) {
  if (options.positional().size() != 1) usage("udp wants one HOST:PORT");
  std::string host, why;
  Address to = target_of(options.positional()[0], 8080, &host);
  std::string text = options.text("text", "hello");
  int timeout = options.number("timeout", 2000), fd = -1;
  return repeat(options, [&] {
    Deadline deadline(timeout);
    if (fd < 0) fd = dial(to, SOCK_DGRAM, deadline, &why);
    if (fd < 0) return Outcome{false, 0, why};
    Outcome out = ask_udp(fd, text, deadline);
    if (!options.flag("same-socket")) {
      ::close(fd);
      fd = -1;
    }
    return out;
  });
}

int connect_only(const Options& options) {
  if (options.positional().size() != 1) usage("connect wants one HOST:PORT");
  std::string host, why = "connected";
  Address to = target_of(options.positional()[0], 80, &host);
  int fd = dial(to, SOCK_STREAM, Deadline(options.number("timeout", 2000)), &why);
  std::printf("%s\n", why.c_str());
  return fd < 0 ? 1 : 0;
}

}  // namespace probe
