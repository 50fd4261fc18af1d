#include <algorithm>

#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

constexpr std::int64_t kMaxGraceSeconds = 10LL * 365 * 86400;  // keeps clock arithmetic far from overflow

}  // namespace

Result<v1::StopContainerResponse> stop_container(Border& border, const v1::StopContainerRequest& request) {
  if (request.timeout() < 0) return fail(Error::invalid("timeout", std::to_string(request.timeout()) + " is negative"));
  const std::chrono::seconds grace(std::min<std::int64_t>(request.timeout(), kMaxGraceSeconds));
  TRY_IN(border.runtime.stop_container(request.container_id(), grace), "stop container " + request.container_id());
  return v1::StopContainerResponse{};
}

Result<v1::RemoveContainerResponse> remove_container(Border& border, const v1::RemoveContainerRequest& request) {
  TRY_IN(border.runtime.remove_container(request.container_id()), "remove container " + request.container_id());
  return v1::RemoveContainerResponse{};
}

Result<v1::ReopenContainerLogResponse> reopen_container_log(Border& border,
                                                            const v1::ReopenContainerLogRequest& request) {
  TRY_IN(border.runtime.reopen_log(request.container_id()), "reopen log of container " + request.container_id());
  return v1::ReopenContainerLogResponse{};
}

}  // namespace podshim::cri
