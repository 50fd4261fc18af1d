// The one table between Error and gRPC status, for the server and its clients (docs/errors.md). Pure; any thread.
#pragma once

#include "common/error.h"

namespace podshim {

// Values of grpc::StatusCode; named here so that few files need gRPC's headers.
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
  unauthenticated = 16,
};

Code status_code(const Error& error);
ErrorKind kind_of(Code code);      // of a server that is ours or another's; `internal` for what has no kind of its own
const char* code_name(Code code);  // "NOT_FOUND"

}  // namespace podshim
