#include "shim/plan/process.h"

#include <sys/resource.h>

#include <optional>
#include <string_view>

namespace podshim {
namespace {

// Keeps the place of the first, the value of the last.
void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  for (auto& entry : env)
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      entry = name + "=" + value;
      return;
    }
  env.push_back(name + "=" + value);
}

std::optional<std::string> get_env(const std::vector<std::string>& env, std::string_view name) {
  for (const auto& entry : env)
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name))
      return entry.substr(name.size() + 1);
  return std::nullopt;
}

struct LimitName {
  const char* name;
  int number;
};
constexpr LimitName kLimits[] = {
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

}  // namespace

Result<std::vector<std::string>> plan_command(const ContainerSpec& container, const ImageProcess& image) {
  std::vector<std::string> out = container.command.empty() ? image.entrypoint : container.command;
  const auto& args = container.args.empty() && container.command.empty() ? image.cmd : container.args;
  out.insert(out.end(), args.begin(), args.end());
  if (out.empty() || out[0].empty())
    return fail(Error::invalid("config.command", "no command: neither the request nor the image has one"));
  return out;
}

std::vector<std::string> plan_env(const ContainerSpec& container, const ImageProcess& image, const ProcessUser& user,
                                  const std::string& hostname, bool tty) {
  std::vector<std::string> env;
  for (const auto& entry : image.env)
    if (auto at = entry.find('='); at != std::string::npos && at != 0)
      set_env(env, entry.substr(0, at), entry.substr(at + 1));
  for (const auto& [name, value] : container.envs) set_env(env, name, value);
  if (!get_env(env, "PATH")) set_env(env, "PATH", kDefaultPath);
  if (!get_env(env, "HOSTNAME")) set_env(env, "HOSTNAME", hostname);
  if (tty && !get_env(env, "TERM")) set_env(env, "TERM", "xterm");
  if (!get_env(env, "HOME")) set_env(env, "HOME", user.home.empty() ? "/" : user.home);
  return env;
}

std::vector<std::string> exec_candidates(const std::string& argv0, const std::vector<std::string>& env) {
  if (argv0.find('/') != std::string::npos) return {argv0};
  std::vector<std::string> out;
  const std::string path = get_env(env, "PATH").value_or(kDefaultPath);
  for (std::size_t from = 0; from <= path.size();) {
    auto to = std::min(path.find(':', from), path.size());
    std::string dir = path.substr(from, to - from);
    out.push_back((dir.empty() ? "." : dir) + "/" + argv0);
    from = to + 1;
  }
  return out;
}

std::string plan_working_dir(const ContainerSpec& container, const ImageProcess& image) {
  if (!container.working_dir.empty()) return container.working_dir;
  if (image.working_dir.empty()) return "/";
  return image.working_dir[0] == '/' ? image.working_dir : "/" + image.working_dir;
}

Result<std::vector<ProgramStep>> plan_rlimits(const std::map<std::string, PodshimConfig::Rlimit>& rlimits,
                                              const HostFacts& host) {
  std::vector<ProgramStep> out;
  for (const auto& [name, limit] : rlimits) {
    const LimitName* found = nullptr;
    for (const auto& known : kLimits)
      if (name == known.name) found = &known;
    const std::string field = "podshim.rlimits." + name;
    if (found == nullptr) return fail(Error::invalid(field, "is not a limit of setrlimit(2)"));
    // As unsigned, -1 is RLIM_INFINITY and above everything.
    const auto soft = static_cast<std::uint64_t>(limit.soft), hard = static_cast<std::uint64_t>(limit.hard);
    if (soft > hard)
      return fail(
          Error::invalid(field, "soft " + std::to_string(limit.soft) + " is above hard " + std::to_string(limit.hard)));
    out.push_back({.op = Op::rlimit,
                   .flags = static_cast<std::uint16_t>(host.can_raise_rlimits ? 0 : kMayFail),
                   .x = static_cast<std::uint64_t>(found->number),
                   .y = soft,
                   .z = hard});
  }
  return out;
}

}  // namespace podshim
