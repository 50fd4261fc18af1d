// Networks: the CNI configuration in force, followed as it changes, its health, and the Pod CIDR that the kubelet gave.
//
// current() costs a few stat calls while nothing changed. health() never runs a plugin on the caller's thread:
// refresh() does, from the housekeeping thread, and a changed configuration asks for it. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/config.h"
#include "shim/cni_client/network.h"
#include "shim/lifecycle/runtime.h"
#include "shim/state/record.h"

namespace podshim::lifecycle {

class Networks {
 public:
  Networks(cni::PluginRunner& plugins, const PodshimConfig& config, std::string pod_cidr_file);

  Result<std::shared_ptr<const cni::NetworkList>> current();

  // What ADD and DEL get, from the spec.
  Result<cni::Attachment> attachment(const SandboxId& id, const SandboxSpec& spec, const std::string& netns) const;
  // ADD and GC exclude each other: GC frees what it is not told of. An ADD waits for a running GC (kGcTimeout at most).
  Result<json::Value> add(const cni::NetworkList& list, const cni::Attachment& attachment,
                          std::unique_ptr<cni::WaitingPlugin> first, const cni::TurnObserver& told);
  std::unique_ptr<cni::WaitingPlugin> start_add(const cni::NetworkList& list, const cni::Attachment& attachment);
  // False: an ADD is running, try later. `valid` is asked for once ADDs are kept out.
  Result<bool> collect(const std::function<std::vector<std::string>()>& valid);
  // DEL from what the record keeps. `netns_there`: else the plugins are told that it is gone.
  Result<> del(const state::SandboxRecord& record, bool netns_there);

  // On a new configuration `wake` asks for a refresh(), whose verdict is waited for as long as `patience`.
  Condition health(std::chrono::milliseconds patience, const std::function<void()>& wake);
  bool refresh();  // runs STATUS; blocks. False: a plugin says no, and did not say the same before

  // UpdateRuntimeConfig: kept for plugins with the capability ipRanges. When <cni-conf-dir>/podshim.conflist.template
  // is there and no configuration but the one that was made from it, 10-podshim-template.conflist is made from it (by
  // rename); the same text again is not written. "" is a no-op.
  Result<> set_pod_cidr(const std::string& cidr);

 private:
  struct Loaded {
    std::string fingerprint;
    std::shared_ptr<const cni::NetworkList> list;
  };
  Result<Loaded> load();
  Result<> render(const std::vector<Cidr>& cidrs) const;

  std::string dir_, pod_cidr_file_;
  cni::Network network_, gc_network_;

  std::mutex setting_;        // one set_pod_cidr() at a time
  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable judged_;
  Loaded loaded_;
  std::string health_fingerprint_;  // of the configuration that health_ is about
  Condition health_;
  std::string pod_cidr_;
  std::condition_variable collected_;
  int adding_ = 0;
  bool collecting_ = false;
};

}  // namespace podshim::lifecycle
