// Node: one machine for a test. A network namespace of its own (with lo and a default route), a temporary directory for
// state, logs and config, the programs of the build under test, and a cgroup parent below podshim-test.
//
// The process itself never changes its namespaces: programs are started by a child that enters the node's namespace.
// Everything is taken down by the destructor, which also reports what was left behind (leaks()).
// Needs root. One thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.h"
#include "tests/support/cri_client.h"

namespace podshim::test {

// What a command printed and how it ended.
struct Output {
  int exit_code = -1;  // 128 + signal
  std::string out, err;
};

class Node {
 public:
  struct Options {
    std::string cni_bin_dir;  // "" = the build's own plugins
    std::string conflist;     // "" = what `podshim cni-config` prints
    std::string config;       // more lines of config.yaml, below "podshim:" when indented
    bool network_namespace = true;
    std::string log_level = "debug";
  };
  Node() : Node(Options()) {}
  explicit Node(Options options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Starts the daemon and waits until it serves. False: `log()` says why.
  bool start_daemon();
  void stop_daemon(int signal);  // SIGTERM or SIGKILL; waits for its end
  pid_t daemon_pid() const { return daemon_; }
  bool daemon_has_ended() const;  // by itself; waits a moment for it
  // Imports an image archive by the daemon's own command line.
  Output import_image(const std::string& archive);

  // Runs a program of the build ("podshim", "crictl" from PATH, "curl") in the node's network namespace.
  Output run(const std::vector<std::string>& argv, std::chrono::seconds limit = std::chrono::seconds(60)) const;
  // Starts one in the background, its output in <dir>/<name>.log; stopped by the destructor.
  pid_t spawn(const std::string& name, const std::vector<std::string>& argv);
  void stop(pid_t pid, int signal);

  CriClient& cri() { return *client_; }
  const std::string& dir() const { return dir_; }
  std::string socket() const { return dir_ + "/podshim.sock"; }
  std::string config_file() const { return dir_ + "/config.yaml"; }
  std::string cgroup_parent() const { return "/podshim-test/" + name_; }
  std::string netns_path() const;
  std::string log() const;  // the daemon's log so far
  std::string instance() const;

  std::string ruleset() const;  // all nftables of its network namespace, without counters

  // What this node left on the machine: netns files, mounts, cgroups, links, lines of its nftables that name a Pod,
  // processes of its instance or directory.
  // Empty after a clean end. The kernel takes dying things down a moment later: waits up to `patience`.
  std::vector<std::string> leaks(std::chrono::milliseconds patience = std::chrono::milliseconds(3000)) const;

 private:
  std::vector<std::string> leaks_now() const;

  Options options_;
  std::string name_, dir_;
  Fd netns_;
  pid_t holder_ = -1, daemon_ = -1;
  std::map<pid_t, std::string> background_;
  std::unique_ptr<CriClient> client_;
};

// <build>/bin/<name>, or an image archive of $PODSHIM_IMAGES.
std::string program(const std::string& name);
std::string image_archive(const std::string& file);
// How many times slower this machine is than the build machine ($PODSHIM_SLOW, set in the VM): limits scale by it.
int slowness();
// Path of a tool on PATH or in $CRICTL-like variables; "" when there is none.
std::string find_tool(const std::string& name);

}  // namespace podshim::test
