// What runs in a container: command, environment, where the program is looked for, working directory. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "common/config.h"
#include "common/result.h"
#include "shim/plan/facts.h"
#include "shim/plan/program.h"
#include "shim/plan/spec.h"

namespace podshim {

inline constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// As Kubernetes: command replaces the entrypoint and the image's cmd, args replace the cmd. Nothing at all = "no
// command".
Result<std::vector<std::string>> plan_command(const ContainerSpec& container, const ImageProcess& image);
// Image, then request (later wins), PATH, HOSTNAME, TERM with a tty, HOME. Order of first appearance.
std::vector<std::string> plan_env(const ContainerSpec& container, const ImageProcess& image, const ProcessUser& user,
                                  const std::string& hostname, bool tty);
// argv[0] with a slash: itself; else each directory of PATH (an empty one is the working directory).
std::vector<std::string> exec_candidates(const std::string& argv0, const std::vector<std::string>& env);
std::string plan_working_dir(const ContainerSpec& container, const ImageProcess& image);  // "/" when none

std::vector<ProgramStep> plan_rlimits(const std::map<std::string, PodshimConfig::Rlimit>& rlimits,
                                      const HostFacts& host);

}  // namespace podshim
