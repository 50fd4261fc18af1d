// netproxy: options, wiring, nothing else.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/config.h"
#include "common/log.h"
#include "common/sys/descriptors.h"
#include "common/sys/file.h"
#include "netproxy/commands.h"
#include "netproxy/doctor.h"
#include "netproxy/loop.h"

namespace {

using namespace podshim;
using namespace podshim::netproxy;

constexpr int kFailed = 1, kUsage = 2;

struct Options {
  std::string config, source, node_name, log_level, question;
  std::string status_file = "/run/podshim/netproxy-status.json";
  std::vector<std::string> node_ips, node_port_addresses, cluster_cidrs;
  std::string output = "text";
  bool once = false, dry_run = false, cleanup = false;
};

// --node-ip keeps loopback: only this node itself reaches that.
Result<std::vector<Cidr>> node_port_addresses(const Options& o, const Config& config) {
  std::vector<Cidr> out;
  for (const auto& text : o.node_port_addresses) {
    auto cidr = TRY_IN(Cidr::parse(text), "read --node-port-addresses");
    if (cidr.address != cidr.network())
      return fail(Error::invalid("--node-port-addresses", "\"" + text + "\" has host bits set"));
    out.push_back(cidr);
  }
  for (const auto& text : o.node_ips) {
    auto ip = TRY_IN(IpAddress::parse(text), "read --node-ip");
    out.push_back({.address = ip, .prefix = ip.bits()});
  }
  if (!o.node_ips.empty()) out.push_back({.address = IpAddress::v4(0x7f000000), .prefix = 8});
  return out.empty() ? config.netproxy.node_port_addresses : out;
}

Result<Setup> settle(const Options& o) {
  auto config = TRY(load_config(o.config.empty() ? "/etc/podshim/config.yaml" : o.config, !o.config.empty()));
  Setup s;
  s.source = !o.source.empty() ? o.source : config.netproxy.source;
  if (s.source.empty()) s.source = config.podshim.state + "/services";
  s.node.node_name = !o.node_name.empty() ? o.node_name : config.node_name;
  if (s.node.node_name.empty()) {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) == 0) s.node.node_name = name;
  }
  s.layout.node_port_addresses = TRY(node_port_addresses(o, config));
  s.layout.local_pods = {config.cluster_cidr};
  if (!o.cluster_cidrs.empty()) s.layout.local_pods.clear();
  for (const auto& text : o.cluster_cidrs)
    s.layout.local_pods.push_back(TRY_IN(Cidr::parse(text), "read --cluster-cidr"));
  // Without IPv6 in the kernel, its half of the table would be refused.
  if (sys::exists("/proc/net/if_inet6")) s.node.families.push_back(Family::v6);
  s.layout.families = s.node.families;
  s.service_cidr = config.service_cidr;
  s.node.reserved = {config.service_cidr};
  if (config.serves_dns())
    s.node.reserved.push_back({.address = config.cluster_dns, .prefix = config.cluster_dns.bits()});
  auto level = !o.log_level.empty() ? o.log_level : config.netproxy.log_level;
  if (!log::parse_level(level, &s.level))
    return fail(Error::invalid("--log-level", "\"" + level + "\" is none of debug, info, warn, error"));
  s.config = std::move(config);
  return s;
}

int failed(const Error& e) {
  log::error("netproxy failed", {{"error", e.text()}});
  return kFailed;
}

// Of a verb that answers a person: one plain line.
int refused(const Error& e) {
  std::fprintf(stderr, "netproxy: %s\n", e.text().c_str());
  return e.kind == ErrorKind::invalid_argument ? kUsage : kFailed;
}

void log_findings(Kernel& kernel, const Setup& s) {
  for (const auto& f : judge(gather_facts(kernel, s.layout), s.service_cidr))
    if (!f.ok) log::warn("this node is not ready for Services", {{"check", f.check}, {"detail", f.detail}});
}

// Of every node, while --cluster-cidr may name those of this one alone.
std::vector<Cidr> all_pods(const Setup& s) {
  std::vector<Cidr> out = {s.config.cluster_cidr};
  for (const auto& cidr : s.layout.local_pods)
    if (!s.config.cluster_cidr.contains(cidr.address)) out.push_back(cidr);
  return out;
}

Result<int> serve(const Setup& s, const Options& o) {
  // One for each question to an upstream, each client and each healthCheckNodePort.
  auto descriptors = sys::raise_descriptor_limit();
  // The loop's, from before the first change on.
  auto signals = TRY(stop_signals());

  Tracker tracker(s.node);
  auto source = TRY(SourceDirectory::open(s.source));
  auto started = Clock::now();
  TRY(source.scan(tracker));
  if (o.dry_run) return print_table(tracker, s.layout);
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started).count();
  log::info("source read", {{"source", s.source}, {"services", tracker.services().size()}, {"ms", ms}});

  // First of what changes the node: when the port is taken, nothing was changed.
  std::unique_ptr<dns::Service> names;
  if (!o.once) names = TRY(dns::Service::open(s.config, all_pods(s), tracker));
  auto kernel = TRY(Kernel::open());
  auto watch = TRY(Watch::open(kernel.port()));
  auto conntrack = TRY(Conntrack::open());
  Status status(o.status_file, s.layout.node_port_addresses);
  auto health = TRY(HealthServer::open(s.layout, HealthServer::listeners_within(descriptors)));
  Proxy proxy({.kernel = kernel,
               .watch = &watch,
               .conntrack = conntrack,
               .tracker = tracker,
               .status = status,
               .health = o.once ? nullptr : &health},
              s.layout, s.service_cidr);
  proxy.rebuild(Clock::now());
  log_findings(kernel, s);  // afterwards: it asks the kernel for every expression, and traffic waits for the table
  if (!o.once) {
    if (names) names->start();
    TRY(run_loop({.signals = signals,
                  .source = source,
                  .watch = watch,
                  .tracker = tracker,
                  .proxy = proxy,
                  .status = status,
                  .health = health,
                  .names = names.get()}));
    return 0;
  }
  TRY(status.write(Clock::now()));
  return proxy.clean() ? 0 : kFailed;
}

void define(CLI::App& app, Options& o) {
  app.add_option("--source", o.source, "directory of Services and EndpointSlices, one object a file");
  app.add_option("--node-name", o.node_name, "this node, as slices name it; default: host name");
  auto* node_ip = app.add_option("--node-ip", o.node_ips,
                                 "address of this node: node ports are served there and on 127.0.0.1 alone; "
                                 "default: on every local address");
  app.add_option("--node-port-addresses", o.node_port_addresses, "the same as CIDRs, exactly these")
      ->delimiter(',')
      ->excludes(node_ip);
  app.add_option("--cluster-cidr", o.cluster_cidrs, "addresses of Pods, one a family; default 10.42.0.0/16")
      ->delimiter(',');
  app.add_option("--config", o.config, "config file; default /etc/podshim/config.yaml when there is one");
  app.add_option("--log-level", o.log_level, "debug, info, warn, error");
  app.add_option("--status-file", o.status_file, "what the kernel acknowledged, as JSON; \"\" for none")
      ->capture_default_str();
  app.add_flag("--once", o.once, "bring the table up to date and end");
  app.add_flag("--dry-run", o.dry_run, "with --once: print the table that would be made")->needs("--once");
  app.add_flag("--cleanup", o.cleanup, "take the table away and end");
  auto* doctor = app.add_subcommand("doctor", "check what this node must have for Services to work");
  doctor->add_option("--output", o.output, "text or json")->check(CLI::IsMember({"text", "json"}));
  auto* explain = app.add_subcommand("explain", "what happens to connections to an address or a Service, and why");
  explain->add_option("what", o.question, "ADDRESS:PORT, ADDRESS:PORT/udp or NAMESPACE/NAME of a Service")->required();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Service proxy: keeps the nftables table `inet podshim` equal to a directory of Services.", "netproxy");
  Options o;
  define(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    int code = app.exit(e);
    return code == 0 ? 0 : kUsage;
  }
  log::configure("netproxy", log::Level::info);
  auto setup = settle(o);
  if (!setup) {
    log::error("bad configuration", {{"error", setup.error().text()}});
    return kUsage;
  }
  log::configure("netproxy", setup->level);
  if (app.got_subcommand("doctor")) {
    auto code = print_doctor(*setup, o.output == "json");
    return code ? *code : refused(code.error());
  }
  if (app.got_subcommand("explain")) {
    auto code = print_explanation(*setup, o.question, o.status_file);
    return code ? *code : refused(code.error());
  }
  if (o.cleanup) {
    auto done = cleanup();
    return done ? 0 : refused(done.error());
  }
  auto joined = [](const std::vector<Cidr>& list) {
    std::string out;
    for (const auto& cidr : list) out += (out.empty() ? "" : ",") + cidr.str();
    return out;
  };
  const auto& layout = setup->layout;
  log::info("starting",
            {{"source", setup->source},
             {"node", setup->node.node_name},
             {"node_ports", layout.node_port_addresses.empty() ? "any" : joined(layout.node_port_addresses)},
             {"pods", joined(layout.local_pods)},
             {"services", setup->service_cidr.str()},
             {"status_file", o.status_file}});
  auto code = serve(*setup, o);
  return code ? *code : failed(code.error());
}
