// FakeHost: a machine kept in tables: cgroups, bound netns, monitors with containers, a CNI plugin that hands out one
// address an id. Each call counts; the test can make the n-th one fail, and look at what is left.
// A container ends when its cgroup is killed or the test says so; exits are told from a thread of the test's. Starts
// and execs end at once, unless the test wants them to hang or to run on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "shim/image/store.h"
#include "shim/lifecycle/host.h"

namespace podshim::lifecycle::test {

struct Machine {
  std::mutex mutex;              // guards all
  bool fail_del = false;         // the plugin
  bool silent_monitors = false;  // they live and do not answer
  int calls = 0, fail_at = 0;
  std::string failed;                                         // the call that was made to fail
  std::set<std::string> cgroups, netns, monitors, addresses;  // paths, names, sandbox ids, container ids
  std::map<std::string, std::string> running;                 // container id -> cgroup path
  std::map<std::string, std::set<std::string>> roots;         // sandbox id -> containers whose root the monitor holds
  std::map<std::string, std::string> files;                   // of cgroups, as updates wrote them
  std::vector<std::string> plugin_calls;                      // "ADD <id>"
  std::vector<std::string> dialed;                            // "<netns path>:<port>"
  std::map<std::string, CgroupStats> usage;                   // cgroup path -> what it shows
  std::string interfaces;                                     // "interfaces":[...], of the plugin's answer
  std::vector<NodeLink> links;                                // of the node
  int whole_readings = 0;                                     // of cgroups, without an earlier one to lean on
  struct Attached {
    std::string container;
    MonitorProcess::AttachPipes pipes;
    std::function<void(Result<int>)> done;
  };
  std::vector<Attached> attached;
  std::vector<std::string> closed_stdin;  // container ids
  std::vector<std::string> reopened;      // likewise, of logs
  std::function<void()> state_told;       // a monitor has told its state, and the answer is on its way

  bool hang_starts = false;                    // in the child, before its exec; those go on once it is false
  std::map<std::string, std::string> hanging;  // such a start's container id -> cgroup path
  bool hang_execs = false;                     // likewise, each until it is given up; its leaf is hanging, too
  bool long_execs = false;
  std::map<std::string, std::function<void(Result<int>)>> execs;  // cgroup path of one that runs -> who waits for it
  std::set<std::string> left_running;                             // cgroups with processes that an exec started
  std::string undying;  // cgroups with this in their path: uninterruptible sleep
  std::string silent;   // what is below this on the host does not answer
  int looking = 0;      // at volumes
  int kills = 0;
  int walks = 0;           // over all cgroups
  milliseconds waited{0};  // for what does not die, as the deadlines would have it: kills of this machine do not wait
  std::string opened;      // the cgroup that was opened last: the next clone's
  std::condition_variable changed;
  bool dies(const std::string& path) const { return undying.empty() || path.find(undying) == std::string::npos; }
  MonitorEvents* events = nullptr;
  std::string boot = "boot-1";
  std::atomic<std::int64_t> clock = 1'700'000'000'000'000'000;

  // Fails when it is the n-th call.
  Result<> step(const std::string& what);
  void end(const SandboxId& sandbox, const ContainerId& id, int code, int signal = 0);
  std::vector<std::string> left();
};

std::unique_ptr<Host> fake_host(Machine& machine);
std::unique_ptr<ImageStore> fake_images(Machine& machine, const std::string& root);

}  // namespace podshim::lifecycle::test
