#include "podlet/prober.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>
#include <thread>

#include "common/fd.h"
#include "common/sys/retry.h"

namespace podshim::podlet {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::size_t kMaxAnswer = 16 << 10;  // of an answer's head and body we read no more
constexpr std::size_t kShownBody = 256;

struct Attempt {
  ProbeTarget target;
  ProbeRunner::Done done;
  Fd fd;
  Steady::time_point deadline;
  bool connected = false;
  std::size_t sent = 0;
  std::string answer;
};

socklen_t fill(const ProbeTarget& t, sockaddr_storage* out) {
  auto bytes = t.address.bytes();
  if (t.address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(out);
    in->sin_family = AF_INET;
    in->sin_port = htons(static_cast<std::uint16_t>(t.port));
    std::memcpy(&in->sin_addr, bytes.data(), bytes.size());
    return sizeof *in;
  }
  auto* in = reinterpret_cast<sockaddr_in6*>(out);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(static_cast<std::uint16_t>(t.port));
  std::memcpy(&in->sin6_addr, bytes.data(), bytes.size());
  return sizeof *in;
}

std::string where(const ProbeTarget& t) { return t.address.str() + ":" + std::to_string(t.port); }
ProbeResult failed(const ProbeTarget& t, const char* what, int err) {
  return {.message = std::string(what) + " " + where(t) + ": " + errno_name(err)};
}

// One step of an attempt after poll said so; a result when it is over.
std::optional<ProbeResult> advance(Attempt& a) {
  if (!a.connected) {
    int err = 0;
    socklen_t size = sizeof err;
    getsockopt(a.fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
    if (err != 0) return failed(a.target, "connect", err);
    a.connected = true;
    if (!a.target.http) return ProbeResult{.outcome = ProbeOutcome::success};
  }
  while (a.sent < a.target.request.size()) {
    ssize_t n = sys::retry([&] {
      return ::send(a.fd.get(), a.target.request.data() + a.sent, a.target.request.size() - a.sent, MSG_NOSIGNAL);
    });
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    if (n < 0) return failed(a.target, "send", errno);
    a.sent += static_cast<std::size_t>(n);
  }
  char buffer[4096];
  for (;;) {
    ssize_t n = sys::retry([&] { return ::recv(a.fd.get(), buffer, sizeof buffer, 0); });
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    // A peer that resets after its answer has answered.
    if (n < 0 && a.answer.empty()) return failed(a.target, "receive", errno);
    if (n > 0) a.answer.append(buffer, static_cast<std::size_t>(n));
    if (n <= 0 || a.answer.size() >= kMaxAnswer) return judge_http(a.answer);
    // The status line decides: a success needs no body.
    if (a.answer.find("\r\n") != std::string::npos) {
      auto result = judge_http(a.answer);
      if (result.success()) return result;
    }
  }
}

}  // namespace

std::string http_request(const kube::HttpAction& action, const std::string& host, int port) {
  std::string out = "GET " + action.path + " HTTP/1.1\r\n";
  bool has_host = false, has_agent = false, has_accept = false;
  auto is = [](std::string_view a, const char* b) {
    return a.size() == std::strlen(b) && strncasecmp(a.data(), b, a.size()) == 0;
  };
  for (const auto& [name, value] : action.headers) {
    has_host = has_host || is(name, "host");
    has_agent = has_agent || is(name, "user-agent");
    has_accept = has_accept || is(name, "accept");
    out += name + ": " + value + "\r\n";
  }
  if (!has_host) out += "Host: " + host + ":" + std::to_string(port) + "\r\n";
  if (!has_agent) out += "User-Agent: kube-probe/podlet\r\n";
  if (!has_accept) out += "Accept: */*\r\n";
  return out + "Connection: close\r\n\r\n";
}

ProbeResult judge_http(std::string_view answer) {
  auto end = answer.find("\r\n");
  auto line = answer.substr(0, end);
  int status = 0;
  bool ok = line.starts_with("HTTP/1.") && line.size() >= 12 &&
            std::from_chars(line.data() + 9, line.data() + 12, status).ec == std::errc{};
  if (!ok)
    return {.message = answer.empty() ? "the connection was closed without an answer" : "the answer is not HTTP"};
  if (status >= 200 && status < 400) return {.outcome = ProbeOutcome::success};
  auto body = answer.find("\r\n\r\n");
  std::string shown(body == std::string_view::npos ? "" : answer.substr(body + 4, kShownBody));
  while (!shown.empty() && static_cast<unsigned char>(shown.back()) <= ' ') shown.pop_back();
  return {.message = "HTTP " + std::to_string(status) + (shown.empty() ? "" : ": " + shown)};
}

struct Prober::Loop {
  Fd wake;
  std::mutex mutex;  // guards incoming, stop
  std::vector<Attempt> incoming;
  bool stop = false;
  std::vector<Attempt> running;  // of the thread alone
  std::thread thread;

  void begin(Attempt a);
  void run();
  bool take();
  void poll_once();
};

void Prober::Loop::begin(Attempt a) {
  a.deadline = Steady::now() + std::chrono::duration_cast<Steady::duration>(a.target.timeout);
  a.fd = Fd(::socket(a.target.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!a.fd) return a.done(failed(a.target, "socket", errno));
  // Closing at once leaves no TIME_WAIT behind: probes come often and the ports are few (the kubelet does the same).
  linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(a.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  sockaddr_storage address{};
  socklen_t size = fill(a.target, &address);
  if (::connect(a.fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS)
    return a.done(failed(a.target, "connect", errno));
  running.push_back(std::move(a));
}

// Takes in what was started; false when the prober ends.
bool Prober::Loop::take() {
  std::vector<Attempt> fresh;
  {
    std::lock_guard lock(mutex);
    if (stop) return false;
    fresh.swap(incoming);
  }
  for (auto& a : fresh) begin(std::move(a));
  return true;
}

void Prober::Loop::poll_once() {
  std::vector<pollfd> fds = {{.fd = wake.get(), .events = POLLIN, .revents = 0}};
  auto next = Steady::time_point::max();
  for (const auto& a : running) {
    bool writing = !a.connected || a.sent < a.target.request.size();
    fds.push_back({.fd = a.fd.get(), .events = static_cast<short>(writing ? POLLOUT : POLLIN), .revents = 0});
    next = std::min(next, a.deadline);
  }
  int timeout = -1;
  if (!running.empty()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Steady::now()).count();
    timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }
  if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return;
  std::uint64_t count = 0;
  if (fds[0].revents != 0) [[maybe_unused]]
    ssize_t n = ::read(wake.get(), &count, sizeof count);
  auto now = Steady::now();
  std::vector<Attempt> left;
  for (std::size_t i = 0; i < running.size(); i++) {
    auto& a = running[i];
    std::optional<ProbeResult> result;
    if (fds[i + 1].revents != 0) result = advance(a);
    if (!result && now >= a.deadline)
      result = ProbeResult{.message = std::string("no answer of ") + where(a.target) + " within " +
                                      age_text(a.target.timeout)};
    if (result) {
      a.done(*std::move(result));
    } else {
      left.push_back(std::move(a));
    }
  }
  running = std::move(left);
}

void Prober::Loop::run() {
  while (take()) poll_once();
}

Prober::Prober() : loop_(std::make_unique<Loop>()) {
  loop_->wake = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  loop_->thread = std::thread([this] { loop_->run(); });
}

Prober::~Prober() {
  {
    std::lock_guard lock(loop_->mutex);
    loop_->stop = true;
  }
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(loop_->wake.get(), &one, sizeof one);
  loop_->thread.join();
}

void Prober::start(ProbeTarget target, Done done) {
  {
    std::lock_guard lock(loop_->mutex);
    loop_->incoming.push_back({.target = std::move(target), .done = std::move(done)});
  }
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(loop_->wake.get(), &one, sizeof one);
}

}  // namespace podshim::podlet
