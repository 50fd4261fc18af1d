#include "common/config.h"

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
  c.log_max_bytes = TRY(r.integer_or("log-max-bytes", c.log_max_bytes, 0));
  c.log_max_files = TRY(r.integer_or("log-max-files", c.log_max_files, 1, 1000));
  if (auto limits = TRY(r.opt_object("rlimits"))) {
    for (const auto& [name, value] : limits->value().as_object()) {
      auto one = TRY(limits->object(name));
      auto soft = TRY(one.integer("soft", -1));
      auto hard = TRY(one.integer("hard", -1));
      TRY(one.no_unknown());
      c.rlimits[name] = {.soft = soft, .hard = hard};
    }
  }
  TRY(r.no_unknown());
  return c;
}

Result<NetproxyConfig> read_netproxy(const json::Reader& r) {
  NetproxyConfig c;
  TRY(read_absolute(r, "source", &c.source));
  TRY(read_log_level(r, &c.log_level));
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
  TRY(r.no_unknown());
  return c;
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
  TRY(read_address(r, "cluster-dns", &c.cluster_dns));
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
  if (auto section = TRY(r.opt_object("podlet"))) c.podlet = TRY(read_podlet(*section));
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
