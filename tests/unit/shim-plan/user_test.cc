#include "shim/plan/user.h"

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

const char* const kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "broken line\n"
    "noids:x:abc:1::/:\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\r\n"
    "default-user:x:1000:1000::/home/default-user:\n"
    "homeless:x:1002:1005\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin";
const char* const kGroup =
    "root:x:0:\n"
    "www-data:x:33:\n"
    "group-defined-in-image:x:50000:default-user\n"
    "both:x:60000:www-data,default-user\n"
    "2000:x:7:\n"
    "bad:x:y:default-user\n";

TEST(User, ParsesWhatLibcParses) {
  auto users = parse_passwd(kPasswd);
  ASSERT_EQ(users.size(), 5U);
  EXPECT_EQ(users[1], (PasswdEntry{.name = "www-data", .uid = 33, .gid = 33, .home = "/var/www"}));
  EXPECT_EQ(users[3], (PasswdEntry{.name = "homeless", .uid = 1002, .gid = 1005, .home = "/"}));
  auto groups = parse_group(kGroup);
  ASSERT_EQ(groups.size(), 5U);
  EXPECT_EQ(groups[3].members, (std::vector<std::string>{"www-data", "default-user"}));
  EXPECT_TRUE(parse_passwd("").empty());
  EXPECT_TRUE(parse_group(":::\n\n").empty());
}

struct Case {
  const char* name;
  SecurityContext security;
  const char* image;
  ProcessUser want;
};

TEST(User, Resolves) {
  const Case cases[] = {
      {"nothing is root", {}, "", {.uid = 0, .gid = 0, .groups = {0}, .home = "/root"}},
      {"image uid", {}, "1002", {.uid = 1002, .gid = 1005, .groups = {1005}, .home = "/"}},
      {"image uid not in passwd", {}, "4711", {.uid = 4711, .gid = 0, .groups = {0}, .home = "/"}},
      {"image name", {}, "www-data", {.uid = 33, .gid = 33, .groups = {33, 60000}, .home = "/var/www"}},
      {"image uid:gid", {}, "1003:1004", {.uid = 1003, .gid = 1004, .groups = {1004}, .home = "/"}},
      {"image name:gid", {}, "www-data:1004", {.uid = 33, .gid = 1004, .groups = {1004, 60000}, .home = "/var/www"}},
      {"image uid:group", {}, "5:both", {.uid = 5, .gid = 60000, .groups = {60000}, .home = "/"}},
      {"image group that is a number by name", {}, "5:2000", {.uid = 5, .gid = 7, .groups = {7}, .home = "/"}},
      {"image with an empty group", {}, "www-data:", {.uid = 33, .gid = 33, .groups = {33, 60000}, .home = "/var/www"}},
      {"run_as_user wins", {.run_as_user = 1001}, "www-data", {.uid = 1001, .gid = 0, .groups = {0}, .home = "/"}},
      {"run_as_user known", {.run_as_user = 33}, "", {.uid = 33, .gid = 33, .groups = {33, 60000}, .home = "/var/www"}},
      {"run_as_user and group",
       {.run_as_user = 1001, .run_as_group = 1002},
       "",
       {.uid = 1001, .gid = 1002, .groups = {1002}, .home = "/"}},
      {"run_as_username",
       {.run_as_username = "nobody"},
       "root",
       {.uid = 65534, .gid = 65534, .groups = {65534}, .home = "/nonexistent"}},
      {"run_as_username and group",
       {.run_as_group = 5, .run_as_username = "nobody"},
       "",
       {.uid = 65534, .gid = 5, .groups = {5}, .home = "/nonexistent"}},
      {"merge",
       {.run_as_user = 1000, .supplemental_groups = {1234}},
       "",
       {.uid = 1000, .gid = 1000, .groups = {1000, 1234, 50000, 60000}, .home = "/home/default-user"}},
      {"strict",
       {.run_as_user = 1000, .supplemental_groups = {1234, 1234}, .strict_groups = true},
       "",
       {.uid = 1000, .gid = 1000, .groups = {1000, 1234}, .home = "/home/default-user"}},
  };
  for (const auto& c : cases) {
    auto got = resolve_user(c.security, c.image, {.passwd = kPasswd, .group = kGroup});
    ASSERT_TRUE(got) << c.name << ": " << error_text(got);
    EXPECT_EQ(got->uid, c.want.uid) << c.name;
    EXPECT_EQ(got->gid, c.want.gid) << c.name;
    EXPECT_EQ(got->groups, c.want.groups) << c.name;
    EXPECT_EQ(got->home, c.want.home) << c.name;
  }
}

TEST(User, NumbersNeedNoFiles) {
  auto got = resolve_user({.supplemental_groups = {9}}, "12:34", {});
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, (ProcessUser{.uid = 12, .gid = 34, .groups = {9, 34}, .home = "/"}));
}

TEST(User, ErrorsNameTheValue) {
  const UserFiles files{.passwd = kPasswd, .group = kGroup};
  expect_invalid(resolve_user({.run_as_group = 5}, "", files), "run_as_group", "without run_as_user");
  expect_invalid(resolve_user({.run_as_username = "ghost"}, "", files), "run_as_username", "\"ghost\"");
  expect_invalid(resolve_user({}, "ghost", files), "User", "\"ghost\"");
  expect_invalid(resolve_user({}, "root:ghosts", files), "User", "\"ghosts\"");
  expect_invalid(resolve_user({}, ":5", files), "User", "\":5\"");
  expect_invalid(resolve_user({.run_as_user = -1}, "", files), "run_as_user", "-1");
  expect_invalid(resolve_user({.run_as_user = 4294967295}, "", files), "run_as_user", "4294967295");
  expect_invalid(resolve_user({.supplemental_groups = {1, -5}}, "", files), "supplemental_groups[1]", "-5");
}

}  // namespace
}  // namespace podshim::testing
