#include "shim/plan/exec_plan.h"

#include "shim/plan/credentials.h"
#include "shim/plan/process.h"

namespace podshim {
namespace {

// v1: every hierarchy of the container, but the exec's own leaf of the freezer, so that a timeout kills the exec alone.
std::vector<std::string> join_files(const CgroupPaths& container, const CgroupPaths& exec) {
  CgroupPaths both = container;
  for (const auto& [name, dir] : exec.v1) both.v1[name] = dir;
  return both.join_files();
}

}  // namespace

Result<ExecPlan> plan_exec(const ContainerInput& in, SeccompFilters& filters, const std::vector<std::string>& command,
                           bool tty) {
  if (command.empty() || command[0].empty()) return fail(Error::invalid("cmd", "no command"));
  const auto& security = in.container.security;
  auto container =
      TRY(plan_container_namespaces(in.sandbox.namespaces, security.namespaces, security.privileged, in.host));
  auto namespaces = plan_exec_namespaces(container);
  auto capabilities = TRY(plan_capabilities(security.capabilities, security.privileged, in.host));
  auto filter = TRY(choose_filter(in, capabilities, filters));
  auto parent = TRY(parse_cgroup_parent(in.sandbox.cgroup_parent, in.config.cgroup_parent));
  auto paths = container_cgroup_paths(in.host, parent, in.instance, in.id);
  auto rlimits = plan_rlimits(in.config.rlimits, in.host);

  ExecPlan out{.clone = namespaces.clone, .cgroup = plan_exec_cgroup(in.host, exec_cgroup_paths(paths, in.exec_leaf))};
  out.program.add({.op = Op::no_dumpable});
  if (paths.version == CgroupVersion::v1)
    for (const auto& file : join_files(paths, out.cgroup.paths))
      out.program.add({.op = Op::write_file, .a = "0", .b = file});
  add_oom_score(out.program, in.container.resources ? in.container.resources->oom_score_adj : 0, in.host);
  for (Slot slot : namespaces.join)
    out.program.add({.op = Op::set_ns, .slot = static_cast<std::int32_t>(slot), .x = clone_flag(slot)});
  for (auto& step : rlimits) out.program.add(std::move(step));
  add_process(out.program,
              {.container = in,
               .capabilities = capabilities,
               .filter = filter.get(),
               .argv = command,
               .env = plan_env(in.container, in.image, in.user, in.facts.hostname, tty || in.container.tty),
               .working_dir = clean_path(plan_working_dir(in.container, in.image)),
               .tty = tty});
  return out;
}

std::string ExecPlan::print() const {
  return clone.print() + "\ncgroup " + cgroup.paths.path + "\n" + cgroup.print() + "program\n" + program.print();
}

}  // namespace podshim
