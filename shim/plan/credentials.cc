#include "shim/plan/credentials.h"

#include <csignal>

#include "shim/plan/process.h"

namespace podshim {
namespace {

ProgramStep caps_step(std::uint64_t mask, const CapabilityPlan& plan) {
  return {.op = Op::set_caps, .x = mask, .y = mask, .z = plan.inheritable, .w = plan.ambient};
}

void add_filter(Program& program, const SeccompFilter& filter) {
  program.add({.op = Op::seccomp, .x = filter.flags, .a = filter.program});
}

}  // namespace

void add_process(Program& program, const ProcessInput& input) {
  const auto& security = input.container.container.security;
  const auto& caps = input.capabilities;
  const auto& user = input.container.user;
  program.add({.op = Op::umask, .x = 022});
  if (input.tty) program.add({.op = Op::new_session, .x = 1});
  program.add({.op = Op::bound_caps, .x = caps.bounding});
  program.add({.op = Op::set_groups,
               .a = {reinterpret_cast<const char*>(user.groups.data()), user.groups.size() * sizeof(user.groups[0])}});
  program.add({.op = Op::set_gid, .x = user.gid});
  program.add({.op = Op::set_uid, .x = user.uid});
  const bool early_filter = input.filter != nullptr && !security.no_new_privs;
  const std::uint64_t until_filter = caps.effective | (std::uint64_t{1} << kCapSysAdmin);
  program.add(caps_step(early_filter ? until_filter : caps.effective, caps));
  program.add({.op = Op::change_dir, .b = input.working_dir});
  if (security.no_new_privs) program.add({.op = Op::no_new_privs});
  program.add({.op = Op::parent_death, .x = SIGKILL});
  if (input.filter != nullptr) add_filter(program, *input.filter);
  if (early_filter && until_filter != caps.effective) program.add(caps_step(caps.effective, caps));
  program.add({.op = Op::exec, .la = exec_candidates(input.argv[0], input.env), .lb = input.argv, .lc = input.env});
}

void add_oom_score(Program& program, std::int64_t oom_score_adj, const HostFacts& host) {
  // Without CAP_SYS_RESOURCE a value below the monitor's is refused; the container then runs with the monitor's.
  program.add({.op = Op::write_file,
               .flags = static_cast<std::uint16_t>(host.can_lower_oom_score ? 0 : kMayFail),
               .a = std::to_string(oom_score_adj),
               .b = "/proc/self/oom_score_adj"});
}

Result<std::shared_ptr<const SeccompFilter>> choose_filter(const ContainerInput& input,
                                                           const CapabilityPlan& capabilities,
                                                           SeccompFilters& filters) {
  const auto& security = input.container.security;
  if (security.privileged || security.seccomp.type == SeccompChoice::Type::unconfined) return nullptr;
  if (!input.host.seccomp)
    return fail(Error::invalid("config.linux.security_context.seccomp", "this kernel has no seccomp filters"));
  return filters.filter(security.seccomp, input.seccomp_profile, capabilities.bounding);
}

}  // namespace podshim
