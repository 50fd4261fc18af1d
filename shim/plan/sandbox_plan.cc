#include "shim/plan/sandbox_plan.h"

#include <sys/mount.h>

#include <algorithm>
#include <csignal>

#include "shim/plan/log_path.h"
#include "shim/plan/mounts.h"

namespace podshim {
namespace {

constexpr std::uint64_t kPauseId = 65535;  // as the pause image everyone else runs
constexpr std::size_t kMaxHostname = 64;   // __NEW_UTS_LEN

const char* const kLinux = "config.linux.";

Result<> check_hostname(const std::string& hostname) {
  if (hostname.size() > kMaxHostname)
    return fail(Error::invalid("config.hostname", "\"" + hostname + "\" has more than 64 bytes"));
  for (char c : hostname)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '/')
      return fail(Error::invalid("config.hostname", "\"" + hostname + "\" holds a space, slash or control character"));
  return {};
}

Result<> check(const SandboxSpec& spec) {
  TRY(check_hostname(spec.hostname));
  if (spec.dns) TRY(check_dns(*spec.dns));
  TRY(container_log_path(spec.log_directory, "x"));
  return {};
}

// "net.ipv4.conf.eth0/1.x": the first separator seen is the separator, the other stands for itself swapped (sysctl(8)).
std::string separate(std::string name) {
  if (auto at = name.find_first_of("./"); at != std::string::npos && name[at] == '.')
    for (char& c : name) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return name;
}

bool starts_with_any(const std::string& text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](auto p) { return text.starts_with(p); });
}

// The root of pause: empty and read-only, so that /proc/<pause>/root has nothing to show in a shared pid namespace.
void add_root(Program& program, const std::string& staging_dir) {
  constexpr auto kScratch = static_cast<std::int32_t>(Slot::first_free);
  program.add({.op = Op::propagation, .x = MS_PRIVATE});
  program.add({.op = Op::new_mount,
               .slot = kScratch,
               .x = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
               .a = "tmpfs",
               .b = "mode=555,size=4k,nr_inodes=2"});
  program.add({.op = Op::attach_root, .slot = kScratch, .b = staging_dir});
  program.add({.op = Op::readonly_root});
  program.add({.op = Op::enter_root});
}

Result<Program> plan_pause(const SandboxInput& in, const NamespacePlan& namespaces, const std::string& hostname) {
  Program out;
  out.add({.op = Op::no_dumpable});
  if (!namespaces.host_net) {
    out.add({.op = Op::loopback_up});
    out.add({.op = Op::set_hostname, .a = hostname});
  }
  for (const auto& [name, value] : in.spec.sysctls)
    out.add({.op = Op::write_file, .a = value, .b = "/proc/sys/" + TRY(sysctl_path(name, value, in.spec.namespaces))});
  out.add({.op = Op::write_file, .flags = kMayFail, .a = "-998", .b = "/proc/self/oom_score_adj"});
  add_root(out, in.staging_dir);
  out.add({.op = Op::bound_caps});
  out.add({.op = Op::set_groups});
  out.add({.op = Op::set_gid, .x = kPauseId});
  out.add({.op = Op::set_uid, .x = kPauseId});
  out.add({.op = Op::set_caps});
  out.add({.op = Op::no_new_privs});
  out.add({.op = Op::parent_death, .x = SIGKILL});
  out.add({.op = Op::exec_fd, .slot = static_cast<std::int32_t>(Slot::pause), .lb = {"/pause"}});
  return out;
}

}  // namespace

Result<std::string> sysctl_path(const std::string& name, const std::string& value, const NamespaceOptions& namespaces) {
  const std::string field = std::string(kLinux) + "sysctls[" + name + "]";
  const std::string path = separate(name);
  if (path.empty() || path[0] == '/' || path.ends_with('/') || path.find("//") != std::string::npos ||
      ("/" + path + "/").find("/../") != std::string::npos || ("/" + path + "/").find("/./") != std::string::npos ||
      path.find('\0') != std::string::npos)
    return fail(Error::invalid(field, "is not the name of a sysctl"));
  if (value.find_first_of(std::string_view("\n\0", 2)) != std::string::npos)
    return fail(Error::invalid(field, "the value holds a line break or NUL byte"));
  if (path.starts_with("net/")) {
    if (namespaces.network == NamespaceMode::node)
      return fail(Error::invalid(field, "would change the node: the sandbox has network NODE"));
    return path;
  }
  if (starts_with_any(path, {"kernel/shm", "kernel/msg", "fs/mqueue/"}) || path == "kernel/sem") {
    if (namespaces.ipc == NamespaceMode::node)
      return fail(Error::invalid(field, "would change the node: the sandbox has ipc NODE"));
    return path;
  }
  return fail(
      Error::invalid(field, "is not namespaced: only net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* are"));
}

Result<SandboxPlan> plan_sandbox(const SandboxInput& in) {
  TRY(check(in.spec));
  auto namespaces = TRY(plan_sandbox_namespaces(in.spec.namespaces));
  SandboxPlan out;
  out.clone = namespaces.clone;
  out.own_netns = !namespaces.host_net;
  out.own_ipc = !namespaces.host_ipc;
  out.own_pid = namespaces.shared_pid;
  out.hostname = out.own_netns && !in.spec.hostname.empty() ? in.spec.hostname : in.host.hostname;
  out.cgroup_parent = TRY(parse_cgroup_parent(in.spec.cgroup_parent, in.default_cgroup_parent));
  out.monitor_cgroup = plan_monitor_cgroup(in.host, monitor_cgroup_paths(in.host, in.instance, in.id));
  out.pause = TRY(plan_pause(in, namespaces, out.hostname));
  return out;
}

std::string SandboxPlan::print() const {
  std::string out = clone.print() + "\n";
  out += "hostname " + hostname + "\n";
  out += std::string("owns") + (own_netns ? " net" : "") + (own_ipc ? " ipc" : "") + (own_pid ? " pid" : "") + "\n";
  out += "cgroup parent " + cgroup_parent + "\n";
  out += "monitor cgroup " + monitor_cgroup.paths.path + "\n" + monitor_cgroup.print();
  return out + "pause\n" + pause.print();
}

}  // namespace podshim
