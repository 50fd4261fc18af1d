#include <algorithm>

#include "shim/cri/decode.h"
#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

constexpr std::int64_t kMaxTimeoutSeconds = 10LL * 365 * 86400;

}  // namespace

Result<v1::ExecSyncResponse> exec_sync(Border& border, const v1::ExecSyncRequest& request,
                                       const std::stop_token& given_up) {
  const std::string doing = "exec in container " + request.container_id();
  const auto command = TRY_IN(decode_command(request), doing);
  if (request.timeout() < 0)
    return fail(Error::invalid("timeout", std::to_string(request.timeout()) + " is negative").within(doing));
  const std::chrono::seconds timeout(std::min<std::int64_t>(request.timeout(), kMaxTimeoutSeconds));
  const ExecResult result = TRY_IN(border.runtime.exec_sync(request.container_id(), command, timeout, given_up), doing);
  v1::ExecSyncResponse out;
  encode_exec(result, &out);
  return out;
}

}  // namespace podshim::cri
