#include "shim/cri/status_code.h"

namespace podshim::cri {
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

}  // namespace

Code status_code(const Error& error) {
  switch (error.kind) {
    case ErrorKind::os:
      return code_of_errno(error.code);
    case ErrorKind::invalid_argument:
      return Code::invalid_argument;
    case ErrorKind::not_found:
      return Code::not_found;
    case ErrorKind::already_exists:
      return Code::already_exists;
    case ErrorKind::failed_precondition:
      return Code::failed_precondition;
    case ErrorKind::resource_exhausted:
      return Code::resource_exhausted;
    case ErrorKind::unavailable:
      return Code::unavailable;
    case ErrorKind::deadline_exceeded:
      return Code::deadline_exceeded;
    case ErrorKind::cancelled:
      return Code::cancelled;
    case ErrorKind::unimplemented:
      return Code::unimplemented;
    case ErrorKind::internal:
      return Code::internal;
  }
  return Code::unknown;
}

const char* code_name(Code code) {
  switch (code) {
    case Code::ok:
      return "OK";
    case Code::cancelled:
      return "CANCELLED";
    case Code::unknown:
      return "UNKNOWN";
    case Code::invalid_argument:
      return "INVALID_ARGUMENT";
    case Code::deadline_exceeded:
      return "DEADLINE_EXCEEDED";
    case Code::not_found:
      return "NOT_FOUND";
    case Code::already_exists:
      return "ALREADY_EXISTS";
    case Code::permission_denied:
      return "PERMISSION_DENIED";
    case Code::resource_exhausted:
      return "RESOURCE_EXHAUSTED";
    case Code::failed_precondition:
      return "FAILED_PRECONDITION";
    case Code::unimplemented:
      return "UNIMPLEMENTED";
    case Code::internal:
      return "INTERNAL";
    case Code::unavailable:
      return "UNAVAILABLE";
  }
  return "UNKNOWN";
}

}  // namespace podshim::cri
