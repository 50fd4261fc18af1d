#include "common/error.h"

#include <gtest/gtest.h>

#include "common/result.h"
#include "common/rollback.h"

namespace podshim {
namespace {

TEST(Error, TextKeepsOperationSubjectsErrnoAndFrames) {
  struct Case {
    const char* name;
    Error error;
    const char* want;
  };
  auto framed = Error::sys("mount", "overlay", "/rootfs", ENODEV).within("start container 3f2a").within("serve");
  auto blamed = Error::sys("exec", "/no/such", {}, ENOENT);
  blamed.kind = ErrorKind::invalid_argument;
  const Case cases[] = {
      {"one subject", Error::sys("open", "/x", {}, ENOENT), "open /x: ENOENT"},
      {"two subjects", Error::sys("mount", "overlay", "/rootfs", EINVAL), "mount overlay -> /rootfs: EINVAL"},
      {"frames, innermost first", framed,
       "mount overlay -> /rootfs: ENODEV (while: start container 3f2a) (while: serve)"},
      {"bad input", Error::invalid("spec.ports[0].port", "0 is out of range"),
       "invalid spec.ports[0].port: 0 is out of range"},
      {"no errno", Error::of(ErrorKind::not_found, "find sandbox", "3f2a"), "find sandbox 3f2a"},
      {"a kind of its own keeps the errno", blamed, "exec /no/such: ENOENT"},
      {"unknown errno", Error::sys("read", "x", {}, 4000), "read x: errno 4000"},
  };
  for (const auto& c : cases) EXPECT_EQ(c.error.text(), c.want) << c.name;
}

TEST(Error, TextIsBounded) {
  const std::string huge(3'000'000, 'x');
  auto error = Error::sys("open", huge, huge, ENOENT).within(huge);
  error.detail = huge;
  EXPECT_LT(error.text().size(), 20'000U);
  EXPECT_TRUE(error.is(ENOENT));
}

TEST(Error, ErrnoIsWhatCallersBranchOn) {
  errno = EACCES;
  EXPECT_TRUE(Error::sys("open", "/x").is(EACCES));
  EXPECT_TRUE(Error::invalid("a", "b").is(EINVAL));
  EXPECT_FALSE(Error::of(ErrorKind::internal, "x", "y").is(EINVAL));
}

TEST(Error, EveryKindHasItsName) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); i++)
    EXPECT_NE(kind_name(static_cast<ErrorKind>(i)), "unknown") << i;
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Error::invalid("n", "is odd"));
  return n / 2;
}
Result<int> quarter(int n) {
  int h = TRY(half(n));
  return TRY_IN(half(h), "halve " + std::to_string(h));
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(3).error().text(), "invalid n: is odd");
  EXPECT_EQ(quarter(6).error().text(), "invalid n: is odd (while: halve 3)");
}

TEST(Rollback, RunsLastInFirstOutAndGoesOnAfterAFailure) {
  std::string order;
  std::string failed;
  {
    Rollback r([&](const std::string& step, const Error&) { failed += step; });
    r.add("a", [&]() -> Result<> {
      order += "a";
      return {};
    });
    r.add("b", [&]() -> Result<> { return fail(Error::invalid("b", "x")); });
    r.add("c", [&]() -> Result<> {
      order += "c";
      return {};
    });
  }
  EXPECT_EQ(order, "ca");
  EXPECT_EQ(failed, "b");
  {
    Rollback r(nullptr);
    r.add("a", [&]() -> Result<> {
      order += "!";
      return {};
    });
    r.commit();
  }
  EXPECT_EQ(order, "ca");
}

}  // namespace
}  // namespace podshim
