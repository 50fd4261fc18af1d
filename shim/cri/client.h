// AdminClient: what the subcommands of `podshim` ask of a running daemon, as plain values. Blocks; any thread. An
// unreachable daemon is ErrorKind::unavailable and names the socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "shim/cri/finding.h"
#include "shim/lifecycle/timeline.h"

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

struct LayerLine {
  std::string digest;
  std::uint64_t size = 0, fetched = 0;
  enum class Stage { waiting, fetching, unpacking, done } stage = Stage::waiting;
};

struct PullLine {
  std::string reference;  // canonical
  std::vector<LayerLine> layers;
};

struct PodTimeline {
  std::string sandbox, name_space, name;
  std::vector<OperationTimeline> operations;
};

struct PullCredentials {
  std::string username, password;
};

class AdminClient {
 public:
  explicit AdminClient(std::string socket) : socket_(std::move(socket)) {}

  Result<std::vector<ImageLine>> import_images(const std::vector<std::string>& absolute_paths);
  Result<std::vector<ImageLine>> list_images();
  Result<ImageLine> find_image(const std::string& reference);                                        // not_found
  Result<std::string> pull_image(const std::string& reference, const PullCredentials& credentials);  // its id
  Result<std::vector<PullLine>> pulls();                                                             // under way
  Result<> remove_image(const std::string& reference);
  Result<DaemonStatus> status();
  Result<PodTimeline> timeline(const std::string& pod);
  Result<std::vector<Finding>> doctor();

 private:
  template <typename Request, typename Response>
  Result<> call(const char* method, const Request& request, Response* response, std::chrono::seconds timeout);

  const std::string socket_;
};

}  // namespace podshim::cri
