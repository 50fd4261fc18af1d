// Every ErrorKind has its code; errnos do not turn into facts about the client's objects.
#include "common/status_code.h"

#include <gtest/gtest.h>

namespace podshim {
namespace {

TEST(StatusCode, EveryKind) {
  struct Case {
    ErrorKind kind;
    Code want;
  };
  const Case cases[] = {
      {ErrorKind::os, Code::internal},
      {ErrorKind::invalid_argument, Code::invalid_argument},
      {ErrorKind::not_found, Code::not_found},
      {ErrorKind::already_exists, Code::already_exists},
      {ErrorKind::failed_precondition, Code::failed_precondition},
      {ErrorKind::resource_exhausted, Code::resource_exhausted},
      {ErrorKind::unavailable, Code::unavailable},
      {ErrorKind::deadline_exceeded, Code::deadline_exceeded},
      {ErrorKind::cancelled, Code::cancelled},
      {ErrorKind::unimplemented, Code::unimplemented},
      {ErrorKind::unauthenticated, Code::unauthenticated},
      {ErrorKind::permission_denied, Code::permission_denied},
      {ErrorKind::internal, Code::internal},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(status_code(Error::of(c.kind, "op", "subject")), c.want) << kind_name(c.kind);
    if (c.kind == ErrorKind::os) continue;
    EXPECT_EQ(kind_of(c.want), c.kind) << "what a client makes of it";
  }
  // All kinds are in the table above: the next number has no name.
  const auto past = static_cast<ErrorKind>(std::size(cases));
  EXPECT_EQ(kind_name(past), "unknown");
  EXPECT_EQ(status_code(Error::of(past, "op", "subject")), Code::unknown);
}

TEST(StatusCode, Errnos) {
  struct Case {
    int err;
    Code want;
  };
  const Case cases[] = {
      {ENOSPC, Code::resource_exhausted}, {EMFILE, Code::resource_exhausted}, {ENOMEM, Code::resource_exhausted},
      {EACCES, Code::permission_denied},  {EPERM, Code::permission_denied},   {ETIMEDOUT, Code::deadline_exceeded},
      {ECONNREFUSED, Code::unavailable},  {EPIPE, Code::unavailable},         {EIO, Code::internal},
  };
  for (const auto& c : cases) EXPECT_EQ(status_code(Error::sys("op", "x", {}, c.err)), c.want) << errno_name(c.err);
  for (int err = 1; err < 134; err++) {
    const Code code = status_code(Error::sys("op", "x", {}, err));
    EXPECT_NE(code, Code::not_found) << errno_name(err);
    EXPECT_NE(code, Code::already_exists) << errno_name(err);
    EXPECT_NE(code, Code::ok) << errno_name(err);
  }
}

TEST(StatusCode, Names) {
  EXPECT_STREQ(code_name(Code::not_found), "NOT_FOUND");
  EXPECT_STREQ(code_name(Code::unavailable), "UNAVAILABLE");
}

}  // namespace
}  // namespace podshim
