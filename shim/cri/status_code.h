// The one table from Error to gRPC status (docs/errors.md). Pure; any thread.
#pragma once

#include "common/error.h"

namespace podshim::cri {

// Values of grpc::StatusCode; named here so that only server.cc and client.cc need gRPC's headers.
enum class Code : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
};

Code status_code(const Error& error);
const char* code_name(Code code);  // "NOT_FOUND"

}  // namespace podshim::cri
