// unary_call: one gRPC call to a server on a unix socket, over libcurl (HTTP/2 with prior knowledge). For the
// subcommands of `podshim`, which make a few calls in their life. Blocks; any thread; a connection a call.
//
// Errors: unavailable, when nobody answers on the socket or the server goes away; deadline_exceeded; what the server
// says, by its code; internal, when it does not speak gRPC. All name the socket.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::cri {

Result<std::string> unary_call(const std::string& socket, std::string_view method, const std::string& message,
                               std::chrono::seconds timeout);

}  // namespace podshim::cri
