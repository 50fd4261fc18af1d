#include "shim/plan/process.h"

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

std::vector<ProgramStep> plan_rlimits(const std::map<std::string, PodshimConfig::Rlimit>& rlimits,
                                      const HostFacts& host) {
  std::vector<ProgramStep> out;
  for (const auto& [name, limit] : rlimits)
    out.push_back({.op = Op::rlimit,
                   .flags = static_cast<std::uint16_t>(host.can_raise_rlimits ? 0 : kMayFail),
                   .x = static_cast<std::uint64_t>(limit.resource),
                   .y = static_cast<std::uint64_t>(limit.soft),
                   .z = static_cast<std::uint64_t>(limit.hard)});
  return out;
}

}  // namespace podshim
