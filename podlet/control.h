// The socket between `podlet up` and the other verbs: a frame is a 32-bit length (host byte order) and a JSON text; one
// request, one answer, then the connection ends. The socket has mode 0600 and serves only root and the user that runs
// podlet (SO_PEERCRED). Requests: {"verb": ..., ...}; answers {"output": text, "error": text, "exit": code, ...}.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "common/fd.h"
#include "common/json.h"
#include "common/result.h"
#include "podlet/worker_pool.h"

namespace podshim::podlet {

inline std::string socket_path(const std::string& state) { return state + "/podlet.sock"; }
inline constexpr std::uint32_t kMaxFrame = 64 << 20;

Result<> send_frame(const Fd& socket, const json::Value& value);
Result<json::Value> receive_frame(const Fd& socket);

// `handle` runs on a worker's thread, one per connection, and may block.
class ControlServer {
 public:
  using Handler = std::function<json::Value(const json::Value& request)>;
  ControlServer(Executor& executor, Handler handler) : executor_(executor), handler_(std::move(handler)) {}
  ~ControlServer();
  // Fails when another podlet serves the path; a socket that nobody serves any more is replaced.
  Result<> listen(const std::string& path);

 private:
  void accept_loop();
  Executor& executor_;
  Handler handler_;
  std::string path_;
  Fd socket_, stop_;
  std::thread thread_;
};

// Connects, asks, reads the answer. Fails with `unavailable` when no podlet runs there.
Result<json::Value> ask(const std::string& path, const json::Value& request);

}  // namespace podshim::podlet
