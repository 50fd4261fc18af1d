#include "netproxy/health.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/json.h"
#include "common/log.h"
#include "common/sys/retry.h"
#include "netproxy/dns/socket.h"

namespace podshim::netproxy {
namespace {

constexpr auto kRetry = std::chrono::seconds(5);
constexpr int kBacklog = 64;
constexpr std::size_t kElsewhere = 900;  // descriptors: 640 questions and 128 connections of DNS, ours, and the rest
constexpr std::size_t kFewListeners = 16, kManyListeners = 4096;  // the range of node ports has 2,768

bool watch(const Fd& epoll, int fd, std::uint64_t tag) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag}};
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// IPv4 comes to the same socket, as mapped addresses, where the node has IPv6.
Result<Fd> listen_everywhere(int port, bool v6) {
  auto subject = "TCP port " + std::to_string(port);
  Fd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::sys("socket", subject));
  int on = 1, off = 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 any6{};
  sockaddr_in any4{};
  any6.sin6_family = AF_INET6;
  any4.sin_family = AF_INET;
  any6.sin6_port = any4.sin_port = htons(static_cast<std::uint16_t>(port));
  const auto* at = v6 ? reinterpret_cast<const sockaddr*>(&any6) : reinterpret_cast<const sockaddr*>(&any4);
  if (::bind(fd.get(), at, v6 ? sizeof any6 : sizeof any4) != 0) return fail(Error::sys("bind", subject));
  if (::listen(fd.get(), kBacklog) != 0) return fail(Error::sys("listen", subject));
  return fd;
}

// Which of the node's addresses the client asked.
std::optional<IpAddress> asked_address(const Fd& fd) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0) return std::nullopt;
  if (at.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(at);
    return IpAddress::v4(ntohl(v4.sin_addr.s_addr));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(at);
  std::span<const std::uint8_t> bytes(v6.sin6_addr.s6_addr, 16);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return IpAddress::from_bytes(Family::v4, bytes.last(4));
  return IpAddress::from_bytes(Family::v6, bytes);
}

}  // namespace

std::optional<HealthCheck> health_check_of(const kube::Service& service,
                                           const std::vector<const kube::EndpointSlice*>& slices,
                                           const NodeFacts& facts) {
  bool asked = service.type == kube::ServiceType::load_balancer &&
               service.external_policy == kube::TrafficPolicy::local && service.health_check_node_port != 0;
  if (!asked) return std::nullopt;
  std::map<Family, std::set<IpAddress>> local;
  for (const auto* slice : slices)
    for (const auto& e : slice->endpoints)
      if (e.ready && !e.node_name.empty() && e.node_name == facts.node_name && !e.addresses.empty())
        local[e.addresses.front().family()].insert(e.addresses.front());
  return HealthCheck{.port = service.health_check_node_port,
                     .name_space = service.meta.name_space,
                     .name = service.meta.name,
                     .local = std::max(local[Family::v4].size(), local[Family::v6].size())};
}

std::string health_answer(const HealthCheck& check, std::string_view request) {
  auto service = json::Value::object().set("namespace", check.name_space).set("name", check.name);
  auto local = static_cast<std::int64_t>(check.local);
  auto body = json::dump(json::Value::object()
                             .set("service", std::move(service))
                             .set("localEndpoints", local)
                             .set("serviceProxyHealthy", true)) +
              "\n";
  // "GET /healthz HTTP/1.1": every path is answered alike.
  auto line = request.substr(0, request.find("\r\n"));
  bool http = line.find(" HTTP/1.") != std::string_view::npos;
  const char* status = !http ? "400 Bad Request" : check.local != 0 ? "200 OK" : "503 Service Unavailable";
  if (!http) body = "not an HTTP request\n";
  auto out = std::string("HTTP/1.1 ") + status + "\r\nContent-Type: " + (http ? "application/json" : "text/plain") +
             "\r\nX-Content-Type-Options: nosniff\r\nX-Load-Balancing-Endpoint-Weight: " + std::to_string(local) +
             "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
  return line.starts_with("HEAD ") ? out : out + body;
}

std::size_t HealthServer::listeners_within(std::size_t descriptors) {
  return std::clamp(descriptors - std::min(descriptors, kElsewhere), kFewListeners, kManyListeners);
}

Result<HealthServer> HealthServer::open(LayoutFacts layout, std::size_t max_listeners) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(Error::sys("epoll_create1", "health checks"));
  return HealthServer(std::move(layout), std::move(epoll), max_listeners);
}

// The port goes to the next Service that asks for it, its listener to one that had none.
void HealthServer::forget(const std::string& key, int port, Clock::time_point now) {
  checks_.erase(key);
  auto owner = owners_.find(port);
  if (owner == owners_.end() || owner->second != key) return;
  owners_.erase(owner);
  listeners_.erase(port);
  std::erase_if(connections_, [&](const auto& c) { return c.second.port == port; });
  told_.erase(port);
  resting_.erase(port);
  if (!told_.empty()) retry_ = now;
  auto next = std::ranges::find_if(checks_, [&](const auto& c) { return c.second.port == port; });
  if (next == checks_.end()) return;
  owners_[port] = next->first;
  listen(port, now);
}

void HealthServer::set(const std::string& key, std::optional<HealthCheck> check, Clock::time_point now) {
  auto had = checks_.find(key);
  if (had != checks_.end() && (!check || had->second.port != check->port)) forget(key, had->second.port, now);
  if (!check) return;
  int port = check->port;
  bool is_new = !checks_.contains(key);
  checks_[key] = *std::move(check);
  if (!is_new) return;
  auto [owner, first] = owners_.try_emplace(port, key);
  if (first) return listen(port, now);
  log::warn("healthCheckNodePort not served: another Service has it",
            {{"service", key}, {"port", port}, {"owner", owner->second}});
}

void HealthServer::listen(int port, Clock::time_point now) {
  std::string why;
  if (listeners_.size() >= max_listeners_) {  // forget() says when there is room
    why = "TCP port " + std::to_string(port) + ": " + std::to_string(listeners_.size()) +
          " are served, all that the limit of open files allows";
  } else {
    bool v6 = std::ranges::find(layout_.families, Family::v6) != layout_.families.end();
    auto fd = listen_everywhere(port, v6);
    if (fd && watch(epoll_, fd->get(), static_cast<std::uint64_t>(port))) {
      listeners_[port] = *std::move(fd);
      told_.erase(port);
      return;
    }
    why = fd ? "epoll_ctl failed" : fd.error().text();
    retry_ = now + kRetry;
  }
  if (told_.insert(port).second)
    log::error("healthCheckNodePort not served yet", {{"service", owners_[port]}, {"error", why}});
}

void HealthServer::retry(Clock::time_point now) {
  retry_.reset();
  auto resting = std::exchange(resting_, {});
  for (int port : resting)
    if (auto it = listeners_.find(port); !watch(epoll_, it->second.get(), static_cast<std::uint64_t>(port)))
      rest(port, now);
  for (const auto& [port, key] : owners_)
    if (!listeners_.contains(port)) listen(port, now);
}

// Watched, it would wake the loop again at once, for as long as it lasts.
void HealthServer::rest(int port, Clock::time_point now) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listeners_.at(port).get(), nullptr);
  resting_.insert(port);
  retry_ = now + kRetry;
}

void HealthServer::accept(int port, std::size_t& left, Clock::time_point now) {
  auto listener = listeners_.find(port);
  if (listener == listeners_.end()) return;
  for (; left > 0; left--) {  // the others when the table had its turn
    Fd fd(
        sys::retry([&] { return ::accept4(listener->second.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
    if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
      if (!dns::readable(listener->second)) return;  // the limit is looked at before the queue
      if (connections_.empty()) return rest(port, now);
      connections_.erase(connections_.begin());
      continue;
    }
    if (!fd && errno == EAGAIN) return;
    if (!fd) continue;  // an error of that connection
    auto at = asked_address(fd);
    if (!at || !layout_.serves_node_ports_at(*at)) continue;
    if (connections_.size() >= kMaxConnections) connections_.erase(connections_.begin());
    auto id = next_++;
    if (!watch(epoll_, fd.get(), id)) continue;
    connections_[id] = {.fd = std::move(fd), .port = port, .request = {}, .until = now + kPatience};
  }
}

void HealthServer::read(std::uint64_t id) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  auto& c = found->second;
  char buffer[1024];
  for (;;) {
    auto n = sys::retry([&] { return ::recv(c.fd.get(), buffer, sizeof buffer, 0); });
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) c.request.append(buffer, static_cast<std::size_t>(n));
    bool whole = c.request.find("\r\n\r\n") != std::string::npos;
    if (n <= 0 || (!whole && c.request.size() > kMaxHeader)) break;
    if (!whole) continue;
    // It fits into an empty socket buffer. Each Service's figures are as last set.
    auto answer = health_answer(checks_.at(owners_.at(c.port)), c.request);
    (void)::send(c.fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    ::shutdown(c.fd.get(), SHUT_WR);
    break;
  }
  connections_.erase(found);
}

void HealthServer::handle(Clock::time_point now) {
  epoll_event events[32];
  int n = ::epoll_wait(epoll_.get(), events, std::size(events), 0);
  std::size_t left = kMaxConnections;
  for (int i = 0; i < n; i++) {
    auto tag = events[i].data.u64;
    tag < 65536 ? accept(static_cast<int>(tag), left, now) : read(tag);
  }
  while (!connections_.empty() && connections_.begin()->second.until <= now) connections_.erase(connections_.begin());
  if (retry_ && *retry_ <= now) retry(now);
}

std::optional<Clock::time_point> HealthServer::due() const {
  auto out = retry_;
  if (!connections_.empty()) {
    auto until = connections_.begin()->second.until;
    out = out ? std::min(*out, until) : until;
  }
  return out;
}

}  // namespace podshim::netproxy
