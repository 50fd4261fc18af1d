// Network: the plugins of one list, run one after another for one sandbox: ADD forward, DEL backward, and the verbs
// CHECK, STATUS and GC. Speaks the CNI protocol only; knows no sandbox, no state.
//
// Every plugin gets: its own object of the list plus name, cniVersion, runtimeConfig (the capabilities it declares) and
// prevResult; CNI_ARGS with IgnoreUnknown=1, the K8S_POD_* names, and podshim.dev/drops-netns=1 when the runtime is
// going to drop the network namespace itself. Errors name the plugin and keep its message:
//   run plugin host-local: no free address in 10.42.0.0/24 (plugin code 100) (while: ADD network podshim)
// Any thread; blocks in the caller's network namespace (the node's). After a failed ADD the caller runs del().
//
// A program (no script) whose VERSION says "podshim.dev/waits-for-config": true does nothing before it has read its
// configuration.
// Such a one is started while the one before it works, and gets its configuration when it is its turn; all others are
// run one by one. status() asks new or changed programs for it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "shim/cni_client/conflist.h"
#include "shim/cni_client/invoke.h"
#include "shim/cni_client/result.h"
#include "shim/plan/spec.h"

namespace podshim::cni {

inline constexpr const char* kIfName = "eth0";

struct Bandwidth {
  std::int64_t ingress_rate = 0, egress_rate = 0;  // bit/s; 0 = no limit
};

struct Attachment {
  std::string container_id;
  std::string netns;  // path; "" = it is gone (DEL only)
  std::string ifname = kIfName;
  Metadata pod;
  std::vector<PortMapping> ports;  // those with a host port are given on
  std::vector<std::string> ips;    // wanted addresses
  std::string pod_cidr;            // capability ipRanges
  std::optional<DnsConfig> dns;
  Bandwidth bandwidth;
  bool drops_netns = false;
};

// From the annotations kubernetes.io/{ingress,egress}-bandwidth ("10M", "1Gi", bits a second) and podshim.dev/ips.
Result<Bandwidth> bandwidth_of(const std::map<std::string, std::string>& annotations);
Result<std::vector<std::string>> wanted_ips(const std::map<std::string, std::string>& annotations);

// CNI_ARGS is a list of k=v;k=v: invalid_argument when a name of the Pod holds ';' or '='.
Result<std::string> cni_args(const Attachment& attachment);

using TurnObserver = std::function<void(const std::string& plugin, std::chrono::steady_clock::time_point began,
                                        std::chrono::steady_clock::time_point ended)>;

class Network {
 public:
  Network(PluginRunner& runner, std::vector<std::string> bin_dirs, std::chrono::milliseconds timeout)
      : runner_(runner), bin_dirs_(std::move(bin_dirs)), timeout_(timeout) {}

  // Starts ADD's first plugin before there is a network namespace, so that it loads while that is made. Null when it
  // must not start before its turn. Never fails.
  std::unique_ptr<WaitingPlugin> start_add(const NetworkList& list, const Attachment& attachment);
  // Gives the last plugin's result. `first`: of start_add(), may be null. `told` hears of each turn that ended well.
  Result<json::Value> add(const NetworkList& list, const Attachment& attachment, std::unique_ptr<WaitingPlugin> first,
                          const TurnObserver& told = {});
  // Runs all plugins even when one fails and gives the first error. `cached`: ADD's result, null when there is none.
  Result<> del(const NetworkList& list, const Attachment& attachment, const json::Value& cached);
  Result<> check(const NetworkList& list, const Attachment& attachment, const json::Value& cached);
  // Success for lists before 1.1, which have no such verbs.
  Result<> status(const NetworkList& list);
  Result<> gc(const NetworkList& list, const std::vector<std::pair<std::string, std::string>>& valid);  // id, ifname

  Result<std::string> find_plugin(const std::string& type) const;

 private:
  struct Turn;  // one plugin's
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };

  Result<PluginCall> call(const PluginConfig& plugin, const std::string& verb, const Attachment* attachment) const;
  std::unique_ptr<WaitingPlugin> start(const PluginConfig& plugin, const std::string& verb,
                                       const Attachment* attachment);
  Result<json::Value> run(const NetworkList& list, const PluginConfig& plugin, const std::string& verb, Turn turn);
  static Result<Stamp> stamp(const std::string& program);
  bool waits(const std::string& program) const;
  void ask_version(const std::string& program);

  PluginRunner& runner_;
  std::vector<std::string> bin_dirs_;
  std::chrono::milliseconds timeout_;

  mutable std::mutex mutex_;                             // guards waits_
  std::map<std::string, std::pair<Stamp, bool>> waits_;  // by path
};

}  // namespace podshim::cni
