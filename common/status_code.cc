#include "common/status_code.h"

namespace podshim {
namespace {

// A system call's errno never becomes NOT_FOUND or ALREADY_EXISTS: a client takes those for facts about the sandbox,
// container or image that it named, and a missing cgroup file is not one.
Code code_of_errno(int err) {
  switch (err) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case E2BIG:
      return Code::resource_exhausted;
    case EACCES:
    case EPERM:
      return Code::permission_denied;
    case ETIMEDOUT:
      return Code::deadline_exceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
      return Code::unavailable;
    default:
      return Code::internal;
  }
}

struct Row {
  ErrorKind kind;
  Code code;
  const char* name;
};
// Every kind but `os`, which goes by its errno.
constexpr Row kRows[] = {
    {ErrorKind::invalid_argument, Code::invalid_argument, "INVALID_ARGUMENT"},
    {ErrorKind::not_found, Code::not_found, "NOT_FOUND"},
    {ErrorKind::already_exists, Code::already_exists, "ALREADY_EXISTS"},
    {ErrorKind::failed_precondition, Code::failed_precondition, "FAILED_PRECONDITION"},
    {ErrorKind::resource_exhausted, Code::resource_exhausted, "RESOURCE_EXHAUSTED"},
    {ErrorKind::unavailable, Code::unavailable, "UNAVAILABLE"},
    {ErrorKind::deadline_exceeded, Code::deadline_exceeded, "DEADLINE_EXCEEDED"},
    {ErrorKind::cancelled, Code::cancelled, "CANCELLED"},
    {ErrorKind::unimplemented, Code::unimplemented, "UNIMPLEMENTED"},
    {ErrorKind::unauthenticated, Code::unauthenticated, "UNAUTHENTICATED"},
    {ErrorKind::permission_denied, Code::permission_denied, "PERMISSION_DENIED"},
    {ErrorKind::internal, Code::internal, "INTERNAL"},
};

}  // namespace

Code status_code(const Error& error) {
  if (error.kind == ErrorKind::os) return code_of_errno(error.code);
  for (const auto& row : kRows)
    if (row.kind == error.kind) return row.code;
  return Code::unknown;
}

ErrorKind kind_of(Code code) {
  for (const auto& row : kRows)
    if (row.code == code) return row.kind;
  return ErrorKind::internal;
}

const char* code_name(Code code) {
  if (code == Code::ok) return "OK";
  for (const auto& row : kRows)
    if (row.code == code) return row.name;
  return "UNKNOWN";
}

}  // namespace podshim
