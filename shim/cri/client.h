// AdminClient: what the subcommands of `podshim` ask of a running daemon, as plain values. client.cc is the one file
// with gRPC's client headers. Blocks; any thread. An unreachable daemon is ErrorKind::unavailable and names the socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "shim/cri/finding.h"

namespace podshim::cri {

struct ImageLine {
  std::string id;
  std::vector<std::string> tags;
  std::uint64_t size_bytes = 0;
};

struct ConditionLine {
  std::string type, reason, message;
  bool ok = false;
};

struct CallLine {
  std::string name;
  std::uint64_t age_ms = 0;
};

struct DaemonStatus {
  std::string version;
  std::int64_t started_at_ns = 0;
  std::vector<ConditionLine> conditions;
  std::vector<std::string> quarantined, warnings;
  std::uint32_t sandboxes_ready = 0, sandboxes_not_ready = 0, containers_running = 0, containers_other = 0, images = 0;
  std::uint64_t requests_served = 0;
  std::vector<CallLine> running;
};

class AdminClient {
 public:
  explicit AdminClient(std::string socket);
  ~AdminClient();

  Result<std::vector<ImageLine>> import_images(const std::vector<std::string>& absolute_paths);
  Result<std::vector<ImageLine>> list_images();
  Result<> remove_image(const std::string& reference);
  Result<DaemonStatus> status();
  Result<std::vector<Finding>> doctor();

 private:
  struct Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace podshim::cri
