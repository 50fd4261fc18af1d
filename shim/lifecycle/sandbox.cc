// RunPodSandbox: claim the name, plan, write the intent, build with one Rollback, record, publish, commit.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/apply/files.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

std::string ips_text(const std::vector<IpAddress>& ips) {
  std::string out;
  for (const auto& ip : ips) out += (out.empty() ? "" : ",") + ip.str();
  return out;
}

CloneConfig clone_config(const ClonePlan& plan, Fd cgroup) {
  return {.namespaces = plan.namespaces,
          .join_sandbox_pid = plan.join_sandbox_pid,
          .join_pid_of = plan.join_pid_of,
          .cgroup = std::move(cgroup)};
}

}  // namespace

Result<SandboxId> NodeRuntime::run_sandbox(const SandboxSpec& spec) {
  auto differs = [&](const SandboxSpec& running) { return state::first_difference(running, spec); };
  return sandbox_runs_.run(name_key(spec), spec, differs, [&](Stage& stage) -> Result<SandboxId> {
    if (auto there = table_.sandbox_named(name_key(spec))) return existing_sandbox(*there, spec);
    return make_sandbox(spec, stage);
  });
}

Result<SandboxId> NodeRuntime::existing_sandbox(const Sandbox& sandbox, const SandboxSpec& spec) const {
  const std::string other = state::first_difference(sandbox.record.spec, spec);
  const bool ready = sandbox.ready();
  if (other.empty() && ready) return sandbox.id;
  const auto age = (host().now_ns() - sandbox.record.created_at_ns) / 1'000'000'000;
  return fail(Error::of(ErrorKind::already_exists, "sandbox", spec.metadata.name,
                        "is " + sandbox.id.str() + ", " + std::to_string(age) + " s old, " +
                            (ready ? "ready" : "not ready") +
                            (other.empty() ? "" : ", with another config: " + other)));
}

Result<SandboxId> NodeRuntime::make_sandbox(const SandboxSpec& spec, Stage& stage) {
  const SandboxId id = *SandboxId::parse(random_hex(32));
  stage.enter("plan");
  auto plan = TRY(plan_sandbox({.spec = spec,
                                .host = parts_.facts,
                                .instance = instance(),
                                .id = id,
                                .default_cgroup_parent = parts_.config.podshim.cgroup_parent,
                                .staging_dir = staging_dir()}));
  auto sandbox = TRY(intend_sandbox(id, spec, plan));
  table_.begin(id.str());
  auto built = [&]() -> Result<> {
    Rollback undo = rollback("sandbox " + id.str());
    TRY(build_sandbox(*sandbox, plan, stage, undo));
    undo.commit();
    return {};
  }();
  if (!built) {
    table_.end(id.str());
    return fail(std::move(built).error().within(std::string("stage ") + stage.name() + ", sandbox " + id.brief()));
  }
  stage.enter("publish");
  const bool alive = table_.add(sandbox);
  publish(*sandbox);
  table_.end(id.str());
  keep(stage.timeline("RunPodSandbox", host().now_ns()), *sandbox, &sandbox->start);
  log::info("sandbox ready", {{"sandbox", id.str()},
                              {"pod", spec.metadata.name_space + "/" + spec.metadata.name},
                              {"ip", ips_text(sandbox->record.ips)},
                              {"ms", stage.timings()}});
  if (!alive) chores_.post([this, sandbox] { bury_monitor(sandbox); });
  return id;
}

SandboxFacts NodeRuntime::facts_of(const SandboxId& id, const SandboxSpec& spec, const std::string& hostname) const {
  const std::string dir = state_dir(id);
  SandboxFacts out{.hosts_path = dir + "/hosts",
                   .hostname_path = dir + "/hostname",
                   .resolv_conf_path = dir + "/resolv.conf",
                   .staging_dir = staging_dir(),
                   .hostname = hostname};
  if (!spec.shared_volumes.empty()) out.volumes_dir = journal_.dir(id) + "/volumes";
  return out;
}

// The record that says what is going to be made; nothing has been touched yet. Bad annotations and a missing network
// end here, too.
Result<std::shared_ptr<Sandbox>> NodeRuntime::intend_sandbox(const SandboxId& id, const SandboxSpec& spec,
                                                             const SandboxPlan& plan) {
  state::SandboxRecord record{.id = id,
                              .spec = spec,
                              .boot_id = host().boot_id(),
                              .instance = instance(),
                              .created_at_ns = host().now_ns(),
                              .cgroup_parent = plan.cgroup_parent};
  if (plan.own_netns) {
    record.netns_path = host().netns_path(parts_.instance.netns_name(id));
    auto list = TRY(networks_.current());
    TRY(networks_.attachment(id, spec, record.netns_path));
    // `added` from the start: a daemon that dies on the way must run DEL after it.
    record.network = {.config = list->text, .source = list->source, .added = true};
  }
  return std::make_shared<Sandbox>(std::move(record), facts_of(id, spec, plan.hostname));
}

Result<> NodeRuntime::build_sandbox(Sandbox& sandbox, const SandboxPlan& plan, Stage& stage, Rollback& undo) {
  const SandboxId& id = sandbox.id;
  stage.enter("intent");
  undo.add("remove record", [this, id] { return journal_.remove(id); });
  TRY(journal_.write(sandbox.record));
  {
    std::lock_guard lock(notes_);
    parents_.insert(plan.cgroup_parent);
  }

  stage.enter("cgroup");
  const CgroupPaths leaf = plan.monitor_cgroup.paths;
  undo.add("remove cgroup", [this, leaf] { return host().remove_cgroup(leaf, kRemovePatience); });
  tolerate(TRY(host().apply_cgroup(plan.monitor_cgroup)));

  stage.enter("files");
  undo.add("remove state directory", [this, id] { return sys::remove_tree(state_dir(id)); });
  TRY(sys::make_dir(state_dir(id), 0711));
  if (!sandbox.facts.volumes_dir.empty())
    TRY(make_volumes(sandbox.facts.volumes_dir, sandbox.record.spec.shared_volumes));

  // The first plugin loads while there is no network namespace yet.
  std::optional<NetworkStart> network;
  if (plan.own_netns) {
    stage.enter("network");
    network = TRY(start_network(sandbox));
  }

  stage.enter("monitor");
  undo.add("kill monitor", [this, leaf] { return host().kill_cgroup(leaf, kKillPatience); });
  auto monitor =
      TRY(host().launch_monitor({.id = id, .sandbox_dir = state_dir(id), .cgroup_files = leaf.join_files()}));
  sandbox.monitor = monitor;
  sandbox.record.monitor = monitor->process();
  undo.add("shut down monitor", [monitor] { return monitor->shutdown(kShutdownPatience); });
  if (plan.own_ipc) TRY(monitor->set_shm(TRY(host().make_shm())));

  stage.enter("pause");
  sandbox.record.pause = TRY(monitor->start_pause(plan.pause, clone_config(plan.clone, TRY(host().open_cgroup(leaf)))));
  if (network) TRY(build_network(sandbox, *network, stage, undo));

  stage.enter("sandbox files");
  const bool host_network = sandbox.record.spec.namespaces.network == NamespaceMode::node;
  const auto& dns = sandbox.record.spec.dns;
  const bool own_dns = dns && !(dns->servers.empty() && dns->searches.empty() && dns->options.empty());
  SandboxFacts written = sandbox.facts;
  TRY(write_sandbox_files(state_dir(id),
                          plan_sandbox_files(plan.hostname, sandbox.record.ips, dns, host_network,
                                             host_network ? read_host_file("/etc/hosts") : "",
                                             own_dns ? "" : read_host_file("/etc/resolv.conf")),
                          written));

  stage.enter("record");
  sandbox.record.created = sandbox.record.ready = true;
  return journal_.write(sandbox.record);
}

Result<NodeRuntime::NetworkStart> NodeRuntime::start_network(const Sandbox& sandbox) {
  NetworkStart out{.list = TRY(cni::parse_network(sandbox.record.network.config, sandbox.record.network.source)),
                   .attachment = TRY(networks_.attachment(sandbox.id, sandbox.record.spec, sandbox.record.netns_path)),
                   .first_plugin = {}};
  out.first_plugin = networks_.start_add(out.list, out.attachment);
  return out;
}

Result<> NodeRuntime::build_network(Sandbox& sandbox, NetworkStart& network, Stage& stage, Rollback& undo) {
  stage.enter("netns");
  const std::string name = parts_.instance.netns_name(sandbox.id);
  undo.add("unbind netns", [this, name] { return host().unbind_netns(name); });
  TRY(host().bind_netns(sandbox.record.pause.pid, name));

  stage.enter("cni");
  undo.add("CNI DEL", [this, &sandbox] {
    auto deleted = networks_.del(sandbox.record, /*netns_there=*/true);
    if (!deleted) owe_del(sandbox.record);
    return deleted;
  });
  auto added =
      networks_.add(network.list, network.attachment, std::move(network.first_plugin),
                    [&](const std::string& plugin, auto began, auto ended) { stage.part(plugin, began, ended); });
  if (!added) garbage_due_ = true;  // for want of an address that nobody has any more, perhaps
  sandbox.record.network.result = TRY(std::move(added));
  sandbox.record.ips = TRY(cni::decode_answer(sandbox.record.network.result)).addresses(cni::kIfName);
  if (sandbox.record.ips.empty())
    return fail(Error::of(ErrorKind::unavailable, "read CNI result", network.list.name,
                          std::string("no address on ") + cni::kIfName));
  return {};
}

}  // namespace podshim::lifecycle
