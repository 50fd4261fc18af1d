// FakeHost: a machine kept in tables: cgroups, bound netns, monitors with containers, a CNI plugin that hands out one
// address an id. Each call counts; the test can make the n-th one fail, and look at what is left.
// A container ends when its cgroup is killed or the test says so; exits are told from a thread of the test's.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "shim/image/store.h"
#include "shim/lifecycle/host.h"

namespace podshim::lifecycle::test {

struct Machine {
  std::mutex mutex;  // guards all
  int calls = 0, fail_at = 0;
  std::string failed;                                         // the call that was made to fail
  std::set<std::string> cgroups, netns, monitors, addresses;  // paths, names, sandbox ids, container ids
  std::map<std::string, std::string> running;                 // container id -> cgroup path
  std::map<std::string, std::set<std::string>> roots;         // sandbox id -> containers whose root the monitor holds
  std::vector<std::string> plugin_calls;                      // "ADD <id>"
  MonitorEvents* events = nullptr;
  std::string boot = "boot-1";
  std::int64_t clock = 1'700'000'000'000'000'000;

  // Fails when it is the n-th call.
  Result<> step(const std::string& what);
  void end(const SandboxId& sandbox, const ContainerId& id, int code, int signal = 0);
  std::vector<std::string> left();
};

std::unique_ptr<Host> fake_host(Machine& machine);
std::unique_ptr<ImageStore> fake_images(Machine& machine, const std::string& root);

}  // namespace podshim::lifecycle::test
