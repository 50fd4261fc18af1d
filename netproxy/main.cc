// netproxy: options, wiring, nothing else.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "common/config.h"
#include "common/log.h"
#include "netproxy/doctor.h"
#include "netproxy/loop.h"
#include "netproxy/render_text.h"

namespace {

using namespace podshim;
using namespace podshim::netproxy;

constexpr int kFailed = 1, kUsage = 2;

struct Options {
  std::string config, source, node_name, cluster_cidr, log_level;
  std::string status_file = "/run/podshim/netproxy-status.json";
  std::vector<std::string> node_ips;
  std::string output = "text";
  bool once = false, dry_run = false, cleanup = false;
};

struct Setup {
  std::string source;
  NodeFacts node;
  LayoutFacts layout;
  Cidr service_cidr;
  std::vector<IpAddress> node_ips;
  log::Level level = log::Level::info;
};

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
  s.node_ips = config.node_ips;
  if (!o.node_ips.empty()) s.node_ips.clear();
  for (const auto& text : o.node_ips) s.node_ips.push_back(TRY_IN(IpAddress::parse(text), "read --node-ip"));
  auto pods = config.cluster_cidr;
  if (!o.cluster_cidr.empty()) pods = TRY_IN(Cidr::parse(o.cluster_cidr), "read --cluster-cidr");
  s.layout.local_pods = {pods};
  s.service_cidr = config.service_cidr;
  auto level = !o.log_level.empty() ? o.log_level : config.netproxy.log_level;
  if (!log::parse_level(level, &s.level))
    return fail(Error::invalid("--log-level", "\"" + level + "\" is none of debug, info, warn, error"));
  return s;
}

int failed(const Error& e) {
  log::error("netproxy failed", {{"error", e.text()}});
  return kFailed;
}

Result<int> print_doctor(const Setup& s, bool json) {
  auto kernel = TRY(Kernel::open());
  auto findings = judge(gather_facts(kernel, s.layout), s.service_cidr);
  bool ok = true;
  auto list = json::Value::array();
  for (const auto& f : findings) {
    ok = ok && f.ok;
    list.push(json::Value::object().set("check", f.check).set("ok", f.ok).set("detail", f.detail));
    if (!json) std::printf("%-4s %s%s%s\n", f.ok ? "ok" : "BAD", f.check.c_str(), f.ok ? "" : ": ", f.detail.c_str());
  }
  if (json) std::printf("%s\n", json::dump(json::Value::object().set("ok", ok).set("checks", list), 2).c_str());
  return ok ? 0 : kFailed;
}

Result<> cleanup() {
  auto kernel = TRY(Kernel::open());
  auto batch = render_delete();
  auto outcome = TRY(kernel.commit(batch.batch));
  if (!outcome.refusals.empty()) return fail(std::move(outcome.refusals.front().error));
  return {};
}

// The table this source asks for, as text; the kernel is not spoken to.
int dry_run(Tracker& tracker, const LayoutFacts& layout) {
  Applied applied(layout);
  std::vector<ServiceModel> models;
  auto keys = tracker.services();
  std::sort(keys.begin(), keys.end());
  for (const auto& key : keys) models.push_back(tracker.model(key));
  auto plan = applied.plan(std::move(models));
  for (const auto& s : plan.services)
    for (const auto& c : s.conflicts)
      log::warn("front not served: another Service has it",
                {{"service", s.desired.key}, {"front", c.front}, {"owner", c.owner}});
  applied.accept(std::move(plan));
  std::fputs(render_text(applied.ruleset()).c_str(), stdout);
  return 0;
}

void log_findings(Kernel& kernel, const Setup& s) {
  for (const auto& f : judge(gather_facts(kernel, s.layout), s.service_cidr))
    if (!f.ok) log::warn("this node is not ready for Services", {{"check", f.check}, {"detail", f.detail}});
}

Result<int> serve(const Setup& s, const Options& o) {
  // The signals are the loop's, from before the first change on.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);

  Tracker tracker(s.node);
  auto source = TRY(SourceDirectory::open(s.source));
  auto started = Clock::now();
  TRY(source.scan(tracker));
  if (o.dry_run) return dry_run(tracker, s.layout);
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started).count();
  log::info("source read", {{"source", s.source}, {"services", tracker.services().size()}, {"ms", ms}});

  auto kernel = TRY(Kernel::open());
  log_findings(kernel, s);
  auto watch = TRY(Watch::open(kernel.port()));
  auto conntrack = TRY(Conntrack::open());
  Status status(o.status_file);
  Proxy proxy({.kernel = kernel, .watch = &watch, .conntrack = conntrack, .tracker = tracker, .status = status},
              s.layout, s.service_cidr);
  proxy.rebuild(Clock::now());
  if (!o.once) {
    TRY(run_loop({.source = source, .watch = watch, .tracker = tracker, .proxy = proxy, .status = status}));
    return 0;
  }
  TRY(status.write(Clock::now()));
  return proxy.clean() ? 0 : kFailed;
}

void define(CLI::App& app, Options& o) {
  app.add_option("--source", o.source, "directory of Services and EndpointSlices, one object a file");
  app.add_option("--node-name", o.node_name, "this node, as slices name it; default: host name");
  app.add_option("--node-ip", o.node_ips, "address of this node; may be given again");
  app.add_option("--cluster-cidr", o.cluster_cidr, "addresses of Pods; default 10.42.0.0/16");
  app.add_option("--config", o.config, "config file; default /etc/podshim/config.yaml when there is one");
  app.add_option("--log-level", o.log_level, "debug, info, warn, error");
  app.add_option("--status-file", o.status_file, "what the kernel acknowledged, as JSON; \"\" for none")
      ->capture_default_str();
  app.add_flag("--once", o.once, "bring the table up to date and end");
  app.add_flag("--dry-run", o.dry_run, "with --once: print the table that would be made")->needs("--once");
  app.add_flag("--cleanup", o.cleanup, "take the table away and end");
  auto* doctor = app.add_subcommand("doctor", "check what this node must have for Services to work");
  doctor->add_option("--output", o.output, "text or json")->check(CLI::IsMember({"text", "json"}));
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
    return code ? *code : failed(code.error());
  }
  if (o.cleanup) {
    auto done = cleanup();
    return done ? 0 : failed(done.error());
  }
  std::string ips;
  for (const auto& ip : setup->node_ips) ips += (ips.empty() ? "" : ",") + ip.str();
  log::info("starting", {{"source", setup->source},
                         {"node", setup->node.node_name},
                         {"node_ips", ips},
                         {"pods", setup->layout.local_pods.front().str()},
                         {"services", setup->service_cidr.str()},
                         {"status_file", o.status_file}});
  auto code = serve(*setup, o);
  return code ? *code : failed(code.error());
}
