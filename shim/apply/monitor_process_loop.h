// The thread behind MonitorLoop. Private to shim/apply/monitor_process*.cc.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "shim/apply/monitor_process_connection.h"

namespace podshim {

class EpollMonitorLoop final : public MonitorLoop {
 public:
  EpollMonitorLoop(MonitorEvents& events, Fd program) : events_(events), program_(std::move(program)) {}
  ~EpollMonitorLoop() override;

  Result<> start();
  MonitorEvents& events() const { return events_; }
  const Fd& program() const { return program_; }
  std::thread::id thread_id() const { return thread_.get_id(); }

  // Watches the socket from now on; the process with watch_process(). The loop holds no reference.
  Result<std::uint64_t> watch(const std::shared_ptr<MonitorConnection>& connection);
  Result<> watch_process(std::uint64_t key, const MonitorConnection& connection);

 private:
  void run();
  void ready(std::uint64_t tag);
  void forget(std::uint64_t key);

  MonitorEvents& events_;
  Fd program_;  // the monitor's binary, sealed
  Fd epoll_, stop_;
  std::thread thread_;

  std::mutex mutex_;  // guards all below
  std::uint64_t next_key_ = 1;
  std::map<std::uint64_t, std::weak_ptr<MonitorConnection>> connections_;
};

}  // namespace podshim
