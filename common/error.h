// Error: what failed, on what, and with which errno.
//
// `op` is a static string naming the operation ("mount", "open", "decode"), `subject` what it worked on (a path,
// link, table, id), `subject2` the second operand where a call has two. `code` is an errno for ErrorKind::os, else 0
// or a fitting errno, which is printed where no detail says more. `context` holds the "while" frames, innermost first.
// Printed as
//   mount overlay -> /rootfs: EINVAL (while: start container 3f2a)
// Each part is shortened when it is printed: they come from clients, too.
// Callers branch on `is(ENOENT)` and on `kind`, never on text. Value type; any thread.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

namespace podshim {

enum class ErrorKind {
  os,                   // a system call said no; `code` is its errno
  invalid_argument,     // the caller's input; `subject` names the field
  not_found,            // an object of ours that does not exist
  already_exists,       // a name in use with another config
  failed_precondition,  // the object is in the wrong state for this
  resource_exhausted,   // no free address, output too large
  unavailable,          // another program or the network did not do its part; a retry may help
  deadline_exceeded,
  cancelled,
  unimplemented,
  unauthenticated,    // another service wants credentials, or does not take the ones it got
  permission_denied,  // it knows who asks and says no
  internal,           // a broken invariant or a record that does not parse
};

struct Error {
  ErrorKind kind = ErrorKind::internal;
  const char* op = "";
  int code = 0;
  std::string subject;
  std::string subject2;
  std::string detail;  // free text: a plugin's message, the bad value, the reason
  std::vector<std::string> context;

  // A failed system call; takes errno as it is now unless `err` is given.
  static Error sys(const char* op, std::string subject, std::string subject2 = {}, int err = errno);
  // Bad input: `field` is the path of the field, `why` names the value and the rule.
  static Error invalid(std::string field, std::string why);
  static Error of(ErrorKind kind, const char* op, std::string subject, std::string detail = {});

  bool is(int err) const { return code == err; }
  // Of descriptors or memory: it says something about us now, and nothing about the subject.
  bool is_shortage() const { return kind == ErrorKind::os && (is(EMFILE) || is(ENFILE) || is(ENOMEM)); }
  std::string text() const;
  // Adds a frame: `return std::move(e).within("run sandbox " + id)`.
  Error within(std::string frame) &&;
};

// "ENOENT" for 2; "errno 999" for one without a name.
std::string errno_name(int err);
std::string_view kind_name(ErrorKind kind);

}  // namespace podshim
