#include "cni/skel/failure.h"

namespace podshim::cni {

Code code_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::invalid_argument:
      return Code::invalid_config;
    case ErrorKind::unimplemented:
      return Code::unsupported_field;
    case ErrorKind::resource_exhausted:
      return Code::no_free_address;
    case ErrorKind::already_exists:
      return Code::already_in_use;
    case ErrorKind::failed_precondition:
      return Code::check_failed;
    case ErrorKind::deadline_exceeded:
    case ErrorKind::cancelled:
      return Code::try_again;
    case ErrorKind::os:
    case ErrorKind::not_found:
    case ErrorKind::unavailable:
    case ErrorKind::unauthenticated:
    case ErrorKind::permission_denied:
    case ErrorKind::internal:
      return Code::operation_failed;
  }
  return Code::operation_failed;
}

Failure failure_of(const Error& error) {
  Error head = error;
  head.context.clear();
  std::string frames;
  for (const auto& frame : error.context) frames += (frames.empty() ? "while: " : "; while: ") + frame;
  return {.code = code_of(error), .message = head.text(), .details = frames};
}

json::Value encode(const Failure& failure, std::string_view version) {
  auto out = json::Value::object();
  out.set("cniVersion", version);
  out.set("code", static_cast<int>(failure.code));
  out.set("msg", failure.message);
  if (!failure.details.empty()) out.set("details", failure.details);
  return out;
}

}  // namespace podshim::cni
