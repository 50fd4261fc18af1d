// A TCP connection to a port of a network namespace, as `localhost` there: 127.0.0.1 first, then ::1. Only the sockets
// are made inside; no program runs. Both addresses have `patience` together (ETIMEDOUT). Gives a connected socket,
// non-blocking and close-on-exec; the error is that of 127.0.0.1, unless nobody listened there and ::1 had another one
// than not being there. Blocks; any thread. Needs CAP_SYS_ADMIN. Nothing is left on failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

// `netns_path` "" = this program's own namespace.
Result<Fd> dial_local(const std::string& netns_path, std::uint16_t port, std::chrono::milliseconds patience);

}  // namespace podshim
