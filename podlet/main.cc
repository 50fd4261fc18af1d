// podlet: options and wiring, nothing else.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/log.h"
#include "podlet/client.h"
#include "podlet/up.h"

namespace podshim::podlet {
namespace {

struct Flags {
  std::string config, state, runtime, services, log_level, directory, netproxy_status;
  std::string name_space = "default", kind, name, output, selector, container, file, condition = "ready";
  bool name_space_given = false, all = false, all_namespaces = false, no_wait = false, follow = false, previous = false,
       timestamps = false;
  long tail = -1;
  int grace = -1, timeout = 30;
  std::vector<std::string> names, command;  // names: of describe and delete
};

constexpr const char* kConfigPath = "/etc/podshim/config.yaml";

// flag > file > default
Result<Config> settings(const Flags& f) {
  auto c = TRY(load_config(f.config.empty() ? kConfigPath : f.config, !f.config.empty()));
  if (!f.state.empty()) c.podlet.state = f.state;
  if (!f.services.empty()) c.podlet.services_dir = f.services;
  if (!f.log_level.empty()) c.podlet.log_level = f.log_level;
  if (!f.runtime.empty()) {
    if (!f.runtime.starts_with("unix:///"))
      return fail(Error::invalid("--runtime-endpoint", "\"" + f.runtime + "\" does not begin with unix:///"));
    c.podlet.runtime_endpoint = f.runtime;
  }
  return c;
}

json::Value question(const char* verb, const Flags& f) {
  json::Value out;
  out.set("verb", verb).set("namespace", f.all_namespaces ? "" : f.name_space).set("kind", f.kind).set("name", f.name);
  out.set("output", f.output).set("selector", f.selector).set("all", f.all).set("wait", !f.no_wait);
  if (!f.container.empty()) out.set("container", f.container);
  if (f.grace >= 0) out.set("grace", f.grace);
  if (!f.names.empty()) out.set("names", json::Value::strings(f.names));
  if (!f.command.empty()) out.set("command", json::Value::strings(f.command));
  return out;
}

// Objects of a file may be of any namespace, unless one is asked for.
std::string given_name_space(const Flags& f) { return f.name_space_given ? f.name_space : ""; }

int up(const Flags& f, Config config) {
  log::Level level{};
  log::parse_level(config.podlet.log_level, &level);
  log::configure("podlet", level);
  return run_up({.config = std::move(config), .directory = f.directory, .netproxy_status = f.netproxy_status});
}

// KIND stands as KIND/NAME, as `get -o name` prints it.
bool names_object(const std::string& kind) { return kind.find('/') != std::string::npos; }

int remove(const Flags& f, const std::string& state) {
  if (!f.file.empty())
    return send_manifests(
        state,
        {.path = f.file, .name_space = given_name_space(f), .remove = true, .wait = !f.no_wait, .grace = f.grace});
  if (f.all) return ask_and_print(state, question("delete", f));
  if (f.names.empty() && !names_object(f.kind)) {
    std::fprintf(stderr, "podlet: delete needs KIND NAME..., KIND/NAME..., -f FILE or --all\n");
    return 2;
  }
  return ask_and_print(state, question("delete", f));
}

int wait(const Flags& f, const std::string& state) {
  if (f.name.empty() && !names_object(f.kind)) {
    std::fprintf(stderr, "podlet: wait needs KIND NAME or KIND/NAME\n");
    return 2;
  }
  return wait_for(
      state,
      {.kind = f.kind, .name = f.name, .name_space = f.name_space, .condition = f.condition, .seconds = f.timeout});
}

void add_global(CLI::App& app, Flags& f) {
  app.add_option("--config", f.config, "config file (default /etc/podshim/config.yaml)");
  app.add_option("--state", f.state, "state directory (default /run/podlet)");
  app.add_option("--log-level", f.log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  app.add_option("-n,--namespace", f.name_space, "namespace of the objects (default: default)");
}

void add_up(CLI::App& app, Flags& f) {
  auto* up = app.add_subcommand("up", "run what the manifests of DIR say, in the foreground");
  up->add_option("DIR", f.directory, "directory of YAML or JSON manifests; watched")->required();
  up->add_option("--runtime-endpoint", f.runtime, "CRI socket, unix:///...");
  up->add_option("--services-dir", f.services, "where Services and EndpointSlices go, for netproxy");
  up->add_option("--netproxy-status", f.netproxy_status,
                 "netproxy's status file: a deleted Pod waits until its endpoint has left");
}

void add_reading(CLI::App& app, Flags& f) {
  auto* get =
      app.add_subcommand("get", "list objects: pods, services, endpoints, endpointslices, deployments, ..., events");
  get->add_option("KIND", f.kind, "or KIND/NAME")->required();
  get->add_option("NAME", f.name);
  get->add_option("-o,--output", f.output, "wide, json, yaml or name")
      ->check(CLI::IsMember({"wide", "json", "yaml", "name"}));
  get->add_option("-l,--selector", f.selector, "labels: a=b,c!=d,e,!f");
  get->add_flag("-A,--all-namespaces", f.all_namespaces);
  auto* describe = app.add_subcommand("describe", "everything about an object, and why it is as it is");
  describe->add_option("KIND", f.kind, "or KIND/NAME")->required();
  describe->add_option("NAME", f.names);
  auto* events = app.add_subcommand("events", "what happened");
  events->add_option("-o,--output", f.output)->check(CLI::IsMember({"json", "yaml"}));
  events->add_flag("-A,--all-namespaces", f.all_namespaces);
  auto* wait = app.add_subcommand("wait", "wait until an object is ready, or gone");
  wait->add_option("KIND", f.kind, "or KIND/NAME")->required();
  wait->add_option("NAME", f.name);
  wait->add_option("--for", f.condition)->check(CLI::IsMember({"ready", "delete"}));
  wait->add_option("--timeout", f.timeout, "seconds");
}

void add_acting(CLI::App& app, Flags& f) {
  auto* apply = app.add_subcommand("apply", "add or change objects beside those of DIR");
  apply->add_option("-f,--filename", f.file, "file, directory, or - for standard input")->required();
  auto* remove = app.add_subcommand("delete", "delete objects");
  remove->add_option("KIND", f.kind, "or KIND/NAME...");
  remove->add_option("NAME", f.names);
  remove->add_option("-f,--filename", f.file);
  remove->add_flag("--all", f.all, "every Pod and Service; nothing is made again before podlet starts anew");
  remove->add_option("--grace-period", f.grace, "seconds")->check(CLI::Range(0, 1'000'000));
  remove->add_flag("--no-wait", f.no_wait, "do not wait until the Pods are gone");
  auto* logs = app.add_subcommand("logs", "print a container's log");
  logs->add_option("POD", f.name)->required();
  logs->add_option("-c,--container", f.container);
  logs->add_flag("-f,--follow", f.follow);
  logs->add_flag("-p,--previous", f.previous, "of the run before");
  logs->add_flag("--timestamps", f.timestamps);
  logs->add_option("--tail", f.tail, "only the last lines");
  auto* exec = app.add_subcommand("exec", "run a command in a container: exec POD [-c CONTAINER] -- CMD...");
  exec->add_option("POD", f.name)->required();
  exec->add_option("-c,--container", f.container);
  exec->add_option("COMMAND", f.command)->required();
  app.add_subcommand("status", "whether podlet and its runtime answer")->group("");
}

int dispatch(const CLI::App& app, const Flags& f) {
  auto config = settings(f);
  if (!config) {
    std::fprintf(stderr, "podlet: %s\n", config.error().text().c_str());
    return 2;
  }
  auto state = config->podlet.state;
  auto is = [&](const char* verb) { return app.got_subcommand(verb); };
  if (is("up")) return up(f, *std::move(config));
  if (is("get"))
    return f.kind == "events" || f.kind == "event" ? ask_and_print(state, question("events", f))
                                                   : ask_and_print(state, question("get", f));
  if (is("describe")) return ask_and_print(state, question("describe", f));
  if (is("events")) return ask_and_print(state, question("events", f));
  if (is("wait")) return wait(f, state);
  if (is("apply")) return send_manifests(state, {.path = f.file, .name_space = given_name_space(f)});
  if (is("delete")) return remove(f, state);
  if (is("logs"))
    return print_logs(state, {.pod = f.name,
                              .container = f.container,
                              .name_space = f.name_space,
                              .follow = f.follow,
                              .previous = f.previous,
                              .timestamps = f.timestamps,
                              .tail = f.tail});
  if (is("exec")) return ask_and_print(state, question("exec", f));
  return ask_and_print(state, question("status", f));
}

}  // namespace
}  // namespace podshim::podlet

int main(int argc, char** argv) {
  using namespace podshim::podlet;
  Flags flags;
  CLI::App app("podlet runs Kubernetes manifests on this machine through a CRI runtime");
  app.require_subcommand(0, 1);  // none: told below, after a word that is no verb has been named
  app.fallthrough();             // --state and --config may stand before or after the verb
  add_global(app, flags);
  add_up(app, flags);
  add_reading(app, flags);
  add_acting(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (app.get_subcommands().empty()) {
    std::fprintf(stderr, "podlet: no verb is given\n%s", app.help().c_str());
    return 2;
  }
  flags.name_space_given = app.count("--namespace") > 0;
  return dispatch(app, flags);
}
