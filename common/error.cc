#include "common/error.h"

#include <cstring>

#include "common/shorten.h"

namespace podshim {

Error Error::sys(const char* op, std::string subject, std::string subject2, int err) {
  return {.kind = ErrorKind::os, .op = op, .code = err, .subject = std::move(subject), .subject2 = std::move(subject2)};
}

Error Error::invalid(std::string field, std::string why) {
  return {.kind = ErrorKind::invalid_argument,
          .op = "invalid",
          .code = EINVAL,
          .subject = std::move(field),
          .detail = std::move(why)};
}

Error Error::of(ErrorKind kind, const char* op, std::string subject, std::string detail) {
  return {.kind = kind, .op = op, .subject = std::move(subject), .detail = std::move(detail)};
}

std::string Error::text() const {
  std::string out = op;
  if (!subject.empty()) out += (out.empty() ? "" : " ") + shorten(subject);
  if (!subject2.empty()) out += " -> " + shorten(subject2);
  if (kind == ErrorKind::os || (code != 0 && detail.empty())) out += ": " + errno_name(code);
  if (!detail.empty()) out += ": " + shorten(detail);
  for (const auto& frame : context) out += " (while: " + shorten(frame) + ")";
  return out;
}

Error Error::within(std::string frame) && {
  context.push_back(std::move(frame));
  return std::move(*this);
}

std::string errno_name(int err) {
  const char* name = strerrorname_np(err);
  return name != nullptr ? name : "errno " + std::to_string(err);
}

std::string_view kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::os:
      return "os";
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::already_exists:
      return "already_exists";
    case ErrorKind::failed_precondition:
      return "failed_precondition";
    case ErrorKind::resource_exhausted:
      return "resource_exhausted";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::deadline_exceeded:
      return "deadline_exceeded";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::unimplemented:
      return "unimplemented";
    case ErrorKind::unauthenticated:
      return "unauthenticated";
    case ErrorKind::permission_denied:
      return "permission_denied";
    case ErrorKind::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace podshim
