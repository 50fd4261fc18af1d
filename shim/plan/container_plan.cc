#include "shim/plan/container_plan.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <set>

#include "shim/plan/credentials.h"
#include "shim/plan/process.h"

namespace podshim {
namespace {

constexpr std::int64_t kMinOomScore = -1000, kMaxOomScore = 1000;

Result<> check(const ContainerInput& in) {
  const auto& security = in.container.security;
  if (security.privileged && !in.sandbox.privileged)
    return fail(
        Error::invalid("config.linux.security_context.privileged", "true in a sandbox whose own privileged is false"));
  if (in.container.resources) {
    const auto score = in.container.resources->oom_score_adj;
    if (score < kMinOomScore || score > kMaxOomScore)
      return fail(
          Error::invalid("config.linux.resources.oom_score_adj", std::to_string(score) + " is not within -1000..1000"));
  }
  return check_devices(in.container.devices);
}

bool covered(const ContainerInput& in, const std::string& target) {
  for (const auto& mount : in.container.mounts)
    if (clean_path(mount.container_path) == target) return true;
  return false;
}

void add_devices(Program& program, const ContainerInput& in, const DevicePlan& devices) {
  const bool own_dev = !covered(in, "/dev");
  std::set<std::string> parents = {"/", "/dev"};
  for (const auto& node : devices.nodes) {
    const std::string path = clean_path(node.container_path);
    if (covered(in, path) || (!own_dev && path.starts_with("/dev/"))) continue;  // the request's mount is there
    const std::string parent = clean_path(path.substr(0, path.rfind('/') + 1));
    if (parents.insert(parent).second) program.add({.op = Op::make_dir, .x = 0755, .b = parent});
    program.add({.op = Op::make_node,
                 .x = static_cast<std::uint64_t>(node.type == 'b' ? S_IFBLK : S_IFCHR) | node.mode,
                 .y = makedev(node.major, node.minor),
                 .z = node.uid,
                 .w = node.gid,
                 .b = path});
  }
  if (!own_dev) return;
  constexpr std::pair<const char*, const char*> kLinks[] = {
      {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
      {"/proc/self/fd/2", "/dev/stderr"}, {"/proc/kcore", "/dev/core"},      {"pts/ptmx", "/dev/ptmx"}};
  for (const auto& [target, path] : kLinks)
    if (!covered(in, path)) program.add({.op = Op::make_symlink, .a = target, .b = path});
}

// Controllers mounted together (cpu,cpuacct) are looked for under each single name too.
void add_cgroup_links(Program& program, const ContainerInput& in, const CgroupPaths& cgroup) {
  if (covered(in, "/sys") || covered(in, "/sys/fs/cgroup")) return;
  for (const auto& [controller, dir] : cgroup.v1) {
    const std::string mount = dir.substr(0, dir.size() - cgroup.path.size());
    const std::string name = mount.substr(mount.rfind('/') + 1);
    if (name != controller) program.add({.op = Op::make_symlink, .a = name, .b = "/sys/fs/cgroup/" + controller});
  }
}

void add_path_rules(Program& program, const ContainerInput& in) {
  const auto& security = in.container.security;
  if (!security.privileged) {
    for (const auto& path : security.readonly_paths) program.add({.op = Op::readonly_path, .b = path});
    for (const auto& path : security.masked_paths) program.add({.op = Op::mask_path, .b = path});
  }
  if (security.readonly_rootfs) program.add({.op = Op::readonly_root});
  program.add({.op = Op::enter_root});
}

// Before "/" changes: everything that is reached by the host's paths.
void add_host_steps(Program& program, const ContainerInput& in, const NamespacePlan& namespaces,
                    const CgroupPaths& cgroup) {
  // First of all: in a shared pid namespace others see this process while it still has the host's files.
  program.add({.op = Op::no_dumpable});
  if (cgroup.version == CgroupVersion::v1)
    for (const auto& file : cgroup.join_files()) program.add({.op = Op::write_file, .a = "0", .b = file});
  add_oom_score(program, in.container.resources ? in.container.resources->oom_score_adj : 0, in.host);
  for (Slot slot : namespaces.join)
    program.add({.op = Op::set_ns, .slot = static_cast<std::int32_t>(slot), .x = clone_flag(slot)});
  // After the join: its root is the cgroup the process is in then.
  if (namespaces.private_cgroup) program.add({.op = Op::unshare, .x = clone_flag(Slot::cgroup)});
  if (namespaces.own_net) program.add({.op = Op::loopback_up});
}

Result<> add_root(Program& program, const ContainerInput& in, const NamespacePlan& namespaces,
                  const CgroupPaths& cgroup, const DevicePlan& devices, const std::string& working_dir) {
  auto mounts = TRY(plan_mounts({.sandbox = in.sandbox,
                                 .container = in.container,
                                 .facts = in.facts,
                                 .host = in.host,
                                 .namespaces = namespaces,
                                 .cgroup = cgroup}));
  Program below;
  add_devices(below, in, devices);
  add_cgroup_links(below, in, cgroup);
  // As root and before anything is read-only; an existing one stays as it is.
  if (working_dir != "/") below.add({.op = Op::make_dir, .x = 0755, .b = working_dir});
  TRY(add_mount_steps(program, mounts, in.facts.staging_dir, below));
  add_path_rules(program, in);
  return {};
}

}  // namespace

Result<ContainerPlan> plan_container(const ContainerInput& in, SeccompFilters& filters) {
  TRY(check(in));
  ContainerPlan out;
  const auto& security = in.container.security;
  auto namespaces =
      TRY(plan_container_namespaces(in.sandbox.namespaces, security.namespaces, security.privileged, in.host));
  auto capabilities = TRY(plan_capabilities(security.capabilities, security.privileged, in.host));
  auto filter = TRY(choose_filter(in, capabilities, filters));
  auto devices = plan_devices(in.devices, security.privileged);
  auto argv = TRY(plan_command(in.container, in.image));
  auto parent = TRY(parse_cgroup_parent(in.sandbox.cgroup_parent, in.config.cgroup_parent));
  auto paths = container_cgroup_paths(in.host, parent, in.instance, in.id);
  const std::string working_dir = clean_path(plan_working_dir(in.container, in.image));
  auto rlimits = plan_rlimits(in.config.rlimits, in.host);

  out.cgroup =
      TRY(plan_container_cgroup(in.host, paths,
                                {.resources = in.updated ? *in.updated : in.container.resources.value_or(Resources{}),
                                 .pids_limit = in.config.pids_limit,
                                 .devices = devices}));
  out.clone = namespaces.clone;
  out.kill_tree_at_exit = namespaces.shared_pid;
  out.unavailable_caps = capabilities.unavailable;
  add_host_steps(out.program, in, namespaces, paths);
  TRY(add_root(out.program, in, namespaces, paths, devices, working_dir));
  for (auto& step : rlimits) out.program.add(std::move(step));
  add_process(out.program, {.container = in,
                            .capabilities = capabilities,
                            .filter = filter.get(),
                            .argv = argv,
                            .env = plan_env(in.container, in.image, in.user, in.facts.hostname, in.container.tty),
                            .working_dir = working_dir,
                            .tty = in.container.tty});
  return out;
}

std::string ContainerPlan::print() const {
  std::string out = clone.print() + "\n";
  if (kill_tree_at_exit) out += "kill tree at exit\n";
  if (unavailable_caps != 0) out += "unavailable capabilities: " + print_capabilities(unavailable_caps) + "\n";
  return out + "cgroup " + cgroup.paths.path + "\n" + cgroup.print() + "program\n" + program.print();
}

}  // namespace podshim
