// FakeRuntime: a small honest Runtime in memory. It keeps tables of sandboxes, containers and images, gives ids, checks
// states and obeys the contract of shim/lifecycle/runtime.h (idempotent stop and remove, not_found for unknown ids),
// without a kernel behind it. "exec" runs a few words: echo WORDS..., fail CODE. Hang points hold StopContainer until
// released. Any thread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>

#include "shim/lifecycle/runtime.h"

namespace podshim::test {

class FakeImages final : public ImageStore {
 public:
  void add(Image image);
  Result<std::vector<Image>> import(const std::string& path) override;
  std::optional<Image> find(const std::string& reference) const override;
  std::vector<Image> list() const override;
  Result<> remove(const std::string& reference) override;
  Result<FsUsage> usage() const override;
  Result<Fd> mount_rootfs(const Image& image, const std::string& container_dir) override;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Image> images_;  // by id
};

class FakeRuntime : public Runtime {
 public:
  Result<SandboxId> run_sandbox(const SandboxSpec& spec) override;
  Result<> stop_sandbox(const std::string& id) override;
  Result<> remove_sandbox(const std::string& id) override;
  Result<ContainerId> create_container(const std::string& sandbox_id, const ContainerSpec& spec) override;
  Result<> start_container(const std::string& id) override;
  Result<> stop_container(const std::string& id, std::chrono::seconds grace) override;
  Result<> remove_container(const std::string& id) override;
  Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                               std::chrono::seconds timeout, std::stop_token given_up = {}) override;
  Result<> reopen_log(const std::string& id) override;
  Result<> update_container(const std::string& id, const Resources& change) override;
  Result<> update_sandbox(const std::string& id, const std::optional<Resources>& overhead,
                          const std::optional<Resources>& resources) override;
  Result<std::unique_ptr<ProcessStream>> open_exec(const std::string& id, const std::vector<std::string>& command,
                                                   const StreamRequest& request, StreamEnd ended,
                                                   std::stop_token given_up = {}) override;
  Result<std::unique_ptr<ProcessStream>> attach(const std::string& id, const StreamRequest& request,
                                                StreamEnd ended) override;
  Result<Fd> dial(const std::string& sandbox_id, std::uint16_t port) override;
  std::shared_ptr<const Snapshot> snapshot() const override;
  Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const override;
  Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const override;
  std::vector<std::shared_ptr<const ContainerView>> containers_of(const SandboxId& sandbox) const override;
  Result<std::unique_ptr<EventSubscription>> subscribe(std::function<void()> wake) override {
    return events_.subscribe(std::move(wake));
  }
  std::vector<OperationTimeline> timeline(const SandboxId& sandbox) const override;
  RuntimeCounters counters() const override { return {.subscribers = events_.subscribers(), .network_debts = 2}; }
  std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const override;
  std::vector<SandboxStats> sandbox_stats(const std::vector<std::shared_ptr<const SandboxView>>& which) const override;
  NodeMetrics metrics() const override;
  RuntimeStatus status() const override;
  Result<> set_pod_cidr(const std::string& cidr) override;
  ImageStore& images() override { return images_; }

  FakeImages& fake_images() { return images_; }
  EventBus& events() { return events_; }
  // Streams are processes of this machine (local_process.h); a port of a Pod is one of 127.0.0.1, perhaps another one.
  void map_port(std::uint16_t pod_port, std::uint16_t port);
  // open_exec (until it is given up), attach and dial wait: all, or those of one container, resp. sandbox.
  void hold_streams(bool on, const std::string& only = "");
  int held_streams() const;   // how many wait now
  int asked_streams() const;  // how often one was asked for
  void hang_stops();          // StopContainer waits from now on
  void release_stops();
  int hanging_stops() const;  // how many wait now
  std::string pod_cidr() const;

 private:
  Result<> change(const std::string& id, ContainerState from, ContainerState to);  // with mutex_ held

  void tell(const ContainerView& container, PodEventType type);  // with mutex_ held
  void wait_while_held(const std::string& id, const std::stop_token& given_up = {});

  FakeImages images_;
  EventBus events_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable released_;
  std::map<std::string, std::shared_ptr<const SandboxView>> sandboxes_;  // replaced whole, as the real ones
  std::map<std::string, std::shared_ptr<const ContainerView>> containers_;
  std::int64_t clock_ns_ = 1'700'000'000'000'000'000;
  std::string pod_cidr_;
  std::map<std::uint16_t, std::uint16_t> ports_;
  bool hang_stops_ = false, hold_streams_ = false;
  std::string hold_only_;
  int hanging_ = 0, held_ = 0, asked_ = 0;
};

}  // namespace podshim::test
