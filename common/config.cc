#include "common/config.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>

#include "common/sys/file.h"
#include "common/yaml.h"

namespace podshim {
namespace {

Result<> read_cidr(const json::Reader& r, const char* key, Cidr* out) {
  auto text = TRY(r.opt_string(key));
  if (!text) return {};
  auto cidr = Cidr::parse(*text);
  if (!cidr) return fail(r.error(key, cidr.error().detail));
  if (cidr->address != cidr->network()) return fail(r.error(key, "\"" + *text + "\" has host bits set"));
  *out = *cidr;
  return {};
}

Result<> read_address(const json::Reader& r, const char* key, IpAddress* out) {
  auto text = TRY(r.opt_string(key));
  if (!text) return {};
  auto ip = IpAddress::parse(*text);
  if (!ip) return fail(r.error(key, ip.error().detail));
  *out = *ip;
  return {};
}

Result<> read_log_level(const json::Reader& r, std::string* out) {
  *out = TRY(r.string_or("log-level", *out));
  if (*out != "debug" && *out != "info" && *out != "warn" && *out != "error")
    return fail(r.error("log-level", "\"" + *out + "\" is none of debug, info, warn, error"));
  return {};
}

Result<> read_absolute(const json::Reader& r, const char* key, std::string* out) {
  *out = TRY(r.string_or(key, *out));
  if (!out->empty() && !out->starts_with('/')) return fail(r.error(key, "\"" + *out + "\" is not an absolute path"));
  return {};
}

Result<PortRange> read_port_range(const json::Reader& r, const char* key, PortRange fallback) {
  auto text = TRY(r.opt_string(key));
  if (!text) return fallback;
  PortRange out;
  int used = 0;
  if (std::sscanf(text->c_str(), "%d-%d%n", &out.first, &out.last, &used) != 2 ||
      used != static_cast<int>(text->size()) || out.first < 1 || out.last > 65535 || out.first > out.last)
    return fail(r.error(key, "\"" + *text + "\" is not a port range first-last within 1..65535"));
  return out;
}

Result<PodshimConfig::Streaming> read_streaming(const json::Reader& r) {
  PodshimConfig::Streaming c;
  c.address = TRY(r.string_or("address", c.address));
  if (auto ip = IpAddress::parse(c.address); !ip) return fail(r.error("address", ip.error().detail));
  c.port = static_cast<int>(TRY(r.integer_or("port", c.port, 0, UINT16_MAX)));
  TRY(read_absolute(r, "tls-cert", &c.tls_cert));
  TRY(read_absolute(r, "tls-key", &c.tls_key));
  if (c.tls_cert.empty() != c.tls_key.empty())
    return fail(r.error(c.tls_cert.empty() ? "tls-cert" : "tls-key", "tls-cert and tls-key belong together"));
  c.idle = std::chrono::seconds(TRY(r.integer_or("idle-timeout-seconds", c.idle.count(), 1, 30 * 86400)));
  TRY(r.no_unknown());
  return c;
}

constexpr std::pair<std::string_view, int> kRlimits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"locks", static_cast<int>(RLIMIT_LOCKS)},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", static_cast<int>(RLIMIT_MSGQUEUE)},
    {"nice", static_cast<int>(RLIMIT_NICE)},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rss", static_cast<int>(RLIMIT_RSS)},
    {"rtprio", static_cast<int>(RLIMIT_RTPRIO)},
    {"rttime", static_cast<int>(RLIMIT_RTTIME)},
    {"sigpending", static_cast<int>(RLIMIT_SIGPENDING)},
    {"stack", RLIMIT_STACK},
};

Result<std::map<std::string, PodshimConfig::Rlimit>> read_rlimits(const json::Reader& r) {
  std::map<std::string, PodshimConfig::Rlimit> out;
  for (const auto& [name, value] : r.value().as_object()) {
    const auto known = std::ranges::find(kRlimits, name, [](const auto& limit) { return limit.first; });
    if (known == std::end(kRlimits)) return fail(r.error(name, "is not a limit of setrlimit(2)"));
    auto one = TRY(r.object(name));
    const auto soft = TRY(one.integer("soft", -1)), hard = TRY(one.integer("hard", -1));
    TRY(one.no_unknown());
    // As unsigned, -1 is RLIM_INFINITY and above everything.
    if (static_cast<rlim_t>(soft) > static_cast<rlim_t>(hard))
      return fail(r.error(name, "soft " + std::to_string(soft) + " is above hard " + std::to_string(hard)));
    out[name] = {.resource = known->second, .soft = soft, .hard = hard};
  }
  return out;
}

Result<PodshimConfig> read_podshim(const json::Reader& r) {
  PodshimConfig c;
  TRY(read_absolute(r, "socket", &c.socket));
  TRY(read_absolute(r, "root", &c.root));
  TRY(read_absolute(r, "state", &c.state));
  TRY(read_absolute(r, "cni-conf-dir", &c.cni_conf_dir));
  TRY(read_absolute(r, "registries", &c.registries));
  if (r.has("cni-bin-dirs")) c.cni_bin_dirs = TRY(r.strings("cni-bin-dirs"));
  TRY(read_log_level(r, &c.log_level));
  c.cgroup_driver = TRY(r.string_or("cgroup-driver", c.cgroup_driver));
  if (c.cgroup_driver != "cgroupfs")
    return fail(r.error("cgroup-driver", "\"" + c.cgroup_driver + "\" is not supported; only cgroupfs is"));
  TRY(read_absolute(r, "cgroup-parent", &c.cgroup_parent));
  c.pids_limit = TRY(r.integer_or("pids-limit", c.pids_limit, 0, INT32_MAX));
  c.cni_timeout = std::chrono::seconds(TRY(r.integer_or("cni-timeout-seconds", c.cni_timeout.count(), 1, 3600)));
  c.pull_stall = std::chrono::seconds(TRY(r.integer_or("pull-stall-seconds", c.pull_stall.count(), 1, 3600)));
  c.log_max_bytes = TRY(r.integer_or("log-max-bytes", c.log_max_bytes, 0));
  c.log_max_files = TRY(r.integer_or("log-max-files", c.log_max_files, 1, 1000));
  if (auto metrics = TRY(r.opt_object("metrics"))) {
    if (auto address = TRY(metrics->opt_string("address"))) {
      auto parsed = IpAddress::parse(*address);
      if (!parsed) return fail(metrics->error("address", "\"" + *address + "\" is not an IP address"));
      c.metrics_address = *parsed;
    }
    c.metrics_port = static_cast<int>(TRY(metrics->integer_or("port", c.metrics_port, 0, 65535)));
    TRY(metrics->no_unknown());
  }
  if (auto section = TRY(r.opt_object("streaming"))) c.streaming = TRY(read_streaming(*section));
  if (auto limits = TRY(r.opt_object("rlimits"))) c.rlimits = TRY(read_rlimits(*limits));
  TRY(r.no_unknown());
  return c;
}

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"
std::optional<DnsUpstream> parse_upstream(const std::string& text) {
  if (auto ip = IpAddress::parse(text)) return DnsUpstream{.address = *ip};
  auto colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  auto ip = IpAddress::parse(bracketed ? host.substr(1, host.size() - 2) : host);
  if (!ip || ip->is_v4() == bracketed) return std::nullopt;
  DnsUpstream out{.address = *ip};
  const char* end = text.data() + text.size();
  auto [at, ec] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (ec != std::errc{} || at != end || out.port < 1 || out.port > 65535) return std::nullopt;
  return out;
}

Result<> read_dns(const json::Reader& r, NetproxyConfig* c) {
  for (const auto& text : TRY(r.strings("upstream"))) {
    auto upstream = parse_upstream(text);
    if (!upstream) return fail(r.error("upstream", "\"" + text + "\" is no address, and no address:port"));
    c->dns_upstream.push_back(*upstream);
  }
  c->dns_timeout = std::chrono::milliseconds(TRY(r.integer_or("timeout-ms", c->dns_timeout.count(), 100, 60000)));
  return r.no_unknown();
}

Result<NetproxyConfig> read_netproxy(const json::Reader& r) {
  NetproxyConfig c;
  TRY(read_absolute(r, "source", &c.source));
  TRY(read_log_level(r, &c.log_level));
  for (const auto& text : TRY(r.strings("node-port-addresses"))) {
    auto cidr = Cidr::parse(text);
    if (!cidr) return fail(r.error("node-port-addresses", cidr.error().detail));
    if (cidr->address != cidr->network())
      return fail(r.error("node-port-addresses", "\"" + text + "\" has host bits set"));
    c.node_port_addresses.push_back(*cidr);
  }
  if (auto dns = TRY(r.opt_object("dns"))) TRY(read_dns(*dns, &c));
  TRY(r.no_unknown());
  return c;
}

Result<PodletConfig> read_podlet(const json::Reader& r) {
  PodletConfig c;
  c.runtime_endpoint = TRY(r.string_or("runtime-endpoint", c.runtime_endpoint));
  if (!c.runtime_endpoint.empty() && !c.runtime_endpoint.starts_with("unix:///"))
    return fail(r.error("runtime-endpoint", "\"" + c.runtime_endpoint + "\" does not begin with unix:///"));
  TRY(read_absolute(r, "state", &c.state));
  TRY(read_absolute(r, "services-dir", &c.services_dir));
  TRY(read_log_level(r, &c.log_level));
  if (r.has("load-balancer-pool")) TRY(read_cidr(r, "load-balancer-pool", &c.load_balancer_pool.emplace()));
  TRY(r.no_unknown());
  return c;
}

// An address of the pool must be nobody else's.
Result<> check_pool(const json::Reader& r, const Config& c) {
  const auto& pool = c.podlet.load_balancer_pool;
  if (!pool) return {};
  for (auto [name, cidr] : {std::pair{"cluster-cidr", &c.cluster_cidr}, std::pair{"service-cidr", &c.service_cidr}})
    if (pool->overlaps(*cidr))
      return fail(r.error("load-balancer-pool", pool->str() + " overlaps " + name + " " + cidr->str()));
  return {};
}

}  // namespace

Config::Config() {
  cluster_cidr = {.address = IpAddress::v4(0x0a2a0000), .prefix = 16};
  service_cidr = {.address = IpAddress::v4(0x0a2b0000), .prefix = 16};
  cluster_dns = IpAddress::v4(0x0a2b000a);
}

Result<Config> decode_config(const json::Value& document, const std::string& file) {
  Config c;
  auto r = TRY(json::Reader::of(document, "", file));
  TRY(read_cidr(r, "cluster-cidr", &c.cluster_cidr));
  TRY(read_cidr(r, "service-cidr", &c.service_cidr));
  if (c.cluster_cidr.overlaps(c.service_cidr))
    return fail(r.error("service-cidr", c.service_cidr.str() + " overlaps cluster-cidr " + c.cluster_cidr.str()));
  c.cluster_dns_set = r.has("cluster-dns");
  if (TRY(r.string_or("cluster-dns", "")) == "none") {
    c.cluster_dns = IpAddress();
  } else {
    TRY(read_address(r, "cluster-dns", &c.cluster_dns));
  }
  c.cluster_domain = TRY(r.string_or("cluster-domain", c.cluster_domain));
  c.node_name = TRY(r.string_or("node-name", c.node_name));
  if (r.has("node-ip")) {
    IpAddress ip;
    TRY(read_address(r, "node-ip", &ip));
    c.node_ips = {ip};
  }
  c.node_port_range = TRY(read_port_range(r, "node-port-range", c.node_port_range));
  if (auto section = TRY(r.opt_object("podshim"))) c.podshim = TRY(read_podshim(*section));
  if (auto section = TRY(r.opt_object("netproxy"))) c.netproxy = TRY(read_netproxy(*section));
  if (auto section = TRY(r.opt_object("podlet"))) {
    c.podlet = TRY(read_podlet(*section));
    TRY(check_pool(*section, c));
  }
  TRY(r.no_unknown());
  return c;
}

Result<Config> load_config(const std::string& path, bool must_exist) {
  auto text = sys::read_file(path);
  if (!text) {
    if (text.error().is(ENOENT) && !must_exist) return Config();
    return fail(std::move(text).error());
  }
  auto documents = TRY(yaml::parse_all(*text, path));
  if (documents.empty()) return Config();
  if (documents.size() > 1) return fail(Error::invalid(path, "holds more than one YAML document"));
  return decode_config(documents.front(), path);
}

}  // namespace podshim
