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

class FakeRuntime final : public Runtime {
 public:
  Result<SandboxId> run_sandbox(const SandboxSpec& spec) override;
  Result<> stop_sandbox(const std::string& id) override;
  Result<> remove_sandbox(const std::string& id) override;
  Result<ContainerId> create_container(const std::string& sandbox_id, const ContainerSpec& spec) override;
  Result<> start_container(const std::string& id) override;
  Result<> stop_container(const std::string& id, std::chrono::seconds grace) override;
  Result<> remove_container(const std::string& id) override;
  Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                               std::chrono::seconds timeout) override;
  Result<> reopen_log(const std::string& id) override;
  std::shared_ptr<const Snapshot> snapshot() const override;
  Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const override;
  Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const override;
  std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const override;
  RuntimeStatus status() const override;
  Result<> set_pod_cidr(const std::string& cidr) override;
  ImageStore& images() override { return images_; }

  FakeImages& fake_images() { return images_; }
  void hang_stops();  // StopContainer waits from now on
  void release_stops();
  int hanging_stops() const;  // how many wait now
  std::string pod_cidr() const;

 private:
  Result<> change(const std::string& id, ContainerState from, ContainerState to);  // with mutex_ held

  FakeImages images_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable released_;
  std::map<std::string, std::shared_ptr<const SandboxView>> sandboxes_;  // replaced whole, as the real ones
  std::map<std::string, std::shared_ptr<const ContainerView>> containers_;
  std::int64_t clock_ns_ = 1'700'000'000'000'000'000;
  std::string pod_cidr_;
  bool hang_stops_ = false;
  int hanging_ = 0;
};

}  // namespace podshim::test
