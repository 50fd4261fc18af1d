#include "podlet/up.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/ids.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "podlet/commands.h"
#include "podlet/control.h"
#include "podlet/node.h"

namespace podshim::podlet {
namespace {

constexpr std::uint32_t kWatched =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr Duration kSettle = std::chrono::milliseconds(20);  // several files written at once are read at once
constexpr Duration kAgain = std::chrono::seconds(1);         // a directory that is not there is looked for again

// The address that the default route would send from: a connected UDP socket knows it, and no packet is sent.
std::string default_source() {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1 (TEST-NET-1)
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "";
  socklen_t size = sizeof to;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to), &size) != 0) return "";
  return IpAddress::v4(ntohl(to.sin_addr.s_addr)).str();
}

// Without a default route: an address inside the cluster's range is the bridge's gateway.
std::string bridge_gateway(const Cidr& cluster) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return "";
  std::string out;
  for (auto* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    auto ip = IpAddress::v4(ntohl(reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr.s_addr));
    if (cluster.contains(ip)) out = ip.str();
  }
  ::freeifaddrs(list);
  return out;
}

Result<std::string> podlet_id(const std::string& state) {
  auto path = state + "/instance";
  if (auto text = sys::read_file(path, 64)) return *text;
  auto id = random_hex(3);
  TRY(sys::write_file_atomic(path, id, 0600));
  return id;
}

Result<NodeOptions> node_options(const UpOptions& up) {
  const auto& c = up.config;
  NodeOptions out{.ranges = {.service_cidr = c.service_cidr,
                             .cluster_dns = c.cluster_dns,
                             .node_ports = c.node_port_range,
                             .load_balancer_pool = c.podlet.load_balancer_pool}};
  auto& f = out.facts;
  f.state_dir = c.podlet.state;
  TRY(sys::make_dirs(f.state_dir, 0700));
  f.podlet_id = TRY(podlet_id(f.state_dir));
  f.node_name = c.node_name;
  if (f.node_name.empty()) {
    char name[256] = "node";
    ::gethostname(name, sizeof name - 1);
    f.node_name = name;
  }
  for (const auto& ip : c.node_ips) f.node_ips.push_back(ip.str());
  if (f.node_ips.empty()) {
    auto ip = default_source();
    if (ip.empty()) ip = bridge_gateway(c.cluster_cidr);
    if (!ip.empty()) f.node_ips.push_back(ip);
  }
  f.cluster_domain = c.cluster_domain;
  if (c.serves_dns()) f.cluster_dns = c.cluster_dns.str();
  struct sysinfo info{};
  if (::sysinfo(&info) == 0) f.memory_capacity = static_cast<std::int64_t>(info.totalram) * info.mem_unit;
  out.services_dir = c.podlet.services_dir.empty() ? c.podshim.state + "/services" : c.podlet.services_dir;
  out.netproxy_status = up.netproxy_status.empty() ? c.podshim.state + "/netproxy-status.json" : up.netproxy_status;
  return out;
}

// What the loop sleeps on.
struct Waits {
  Fd wake, signals, inotify;
};

Result<Waits> make_waits(const std::string& directory) {
  Waits out;
  out.wake = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGTERM, SIGINT}) sigaddset(&mask, s);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);  // before any thread: they inherit it
  out.signals = Fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  out.inotify = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!out.wake || !out.signals || !out.inotify) return fail(Error::sys("make the loop's fds", "podlet"));
  if (!directory.empty() && ::inotify_add_watch(out.inotify.get(), directory.c_str(), kWatched) < 0)
    return fail(Error::sys("watch", directory));
  return out;
}

void swallow(const Fd& fd) {
  char buffer[4096];
  while (::read(fd.get(), buffer, sizeof buffer) > 0) {
  }
}

// True when the loop is to end.
bool wait(const Waits& waits, Duration limit, bool* changed) {
  pollfd fds[] = {{.fd = waits.wake.get(), .events = POLLIN, .revents = 0},
                  {.fd = waits.signals.get(), .events = POLLIN, .revents = 0},
                  {.fd = waits.inotify.get(), .events = POLLIN, .revents = 0}};
  auto ns = std::max<std::int64_t>(limit.count(), 0);
  timespec timeout{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  if (::ppoll(fds, 3, &timeout, nullptr) <= 0) return false;
  if (fds[0].revents != 0) swallow(waits.wake);
  if (fds[2].revents != 0) {
    swallow(waits.inotify);
    *changed = true;
  }
  return fds[1].revents != 0;
}

void run_loop(Node& node, const Clock& clock, const Waits& waits, const std::string& directory) {
  std::optional<Time> settle;
  bool missing = false;
  for (;;) {
    auto next = node.step();
    if (settle) next = std::min(next, *settle);
    bool changed = false;
    if (wait(waits, next - clock.now(), &changed)) return;
    if (changed && !settle) settle = clock.now() + kSettle;
    if (settle && clock.now() >= *settle) {
      settle.reset();
      // The directory may have been replaced by one of the same name: watching it again costs nothing if not.
      const bool watched =
          directory.empty() || ::inotify_add_watch(waits.inotify.get(), directory.c_str(), kWatched) >= 0;
      const bool gone = !watched && errno == ENOENT;
      if (!watched) settle = clock.now() + kAgain;
      if (!gone || !missing) node.rescan();  // of the one that is missing it tells, once
      missing = gone;
    }
  }
}

void print_settings(const NodeOptions& o, const UpOptions& up, const std::string& endpoint) {
  log::info("settings",
            {{"directory", up.directory},
             {"runtime", endpoint},
             {"state", o.facts.state_dir},
             {"services", o.services_dir},
             {"netproxy-status", o.netproxy_status},
             {"node-name", o.facts.node_name},
             {"node-ip", o.facts.node_ips.empty() ? "" : o.facts.node_ips.front()},
             {"service-cidr", o.ranges.service_cidr.str()},
             {"cluster-dns", o.facts.cluster_dns.empty() ? "none" : o.facts.cluster_dns},
             {"load-balancer-pool", o.ranges.load_balancer_pool ? o.ranges.load_balancer_pool->str() : "none"},
             {"podlet-id", o.facts.podlet_id}});
}

Result<> up(const UpOptions& options) {
  if (!options.directory.empty()) {
    struct stat st{};
    if (::stat(options.directory.c_str(), &st) != 0) return fail(Error::sys("open", options.directory));
    if (!S_ISDIR(st.st_mode)) return fail(Error::sys("open", options.directory, {}, ENOTDIR));
  }
  auto node_opts = TRY(node_options(options));
  auto waits = TRY(make_waits(options.directory));
  auto endpoint = options.config.podlet.runtime_endpoint;
  auto socket = endpoint.empty() ? options.config.podshim.socket : endpoint.substr(std::string("unix://").size());
  print_settings(node_opts, options, socket);

  auto runtime = connect_runtime(socket);
  SystemClock clock;
  WorkerPool pool;
  Prober prober;
  ObjectSource source(options.directory, node_opts.facts.state_dir + "/objects");
  Node node(node_opts, *runtime, pool, prober, clock, source, [&waits] {
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(waits.wake.get(), &one, sizeof one);
  });
  TRY(node.load());
  Commands commands(node);
  ControlServer control(pool, [&commands](const json::Value& request) { return commands.handle(request); });
  TRY(control.listen(socket_path(node_opts.facts.state_dir)));
  run_loop(node, clock, waits, options.directory);
  log::info("ending; the Pods go on running");
  // Calls may still wait for a grace period. All that matters is on disk, and a restarted podlet looks at what came of
  // them.
  ::unlink(socket_path(node_opts.facts.state_dir).c_str());
  ::_exit(0);
}

}  // namespace

int run_up(const UpOptions& options) {
  auto result = up(options);
  if (result) return 0;
  log::error("podlet cannot start", {{"why", result.error().text()}});
  return result.error().kind == ErrorKind::invalid_argument ? 2 : 1;
}

}  // namespace podshim::podlet
