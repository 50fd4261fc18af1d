#include "shim/plan/process.h"

#include <sys/resource.h>

#include "shim/plan/log_path.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

using Strings = std::vector<std::string>;

TEST(Process, CommandAndArgsAsKubernetes) {
  struct Case {
    const char* name;
    Strings command, args, want;
  } cases[] = {
      {"neither", {}, {}, {"/ep", "e", "cmd", "c"}},
      {"args replace cmd", {}, {"x"}, {"/ep", "e", "x"}},
      {"command drops both", {"/run"}, {}, {"/run"}},
      {"command and args", {"/run"}, {"x", "y"}, {"/run", "x", "y"}},
  };
  const ImageProcess image{.entrypoint = {"/ep", "e"}, .cmd = {"cmd", "c"}};
  for (const auto& c : cases) {
    auto got = plan_command({.command = c.command, .args = c.args}, image);
    ASSERT_TRUE(got) << c.name;
    EXPECT_EQ(*got, c.want) << c.name;
  }
  EXPECT_EQ(*plan_command({}, {.cmd = {"sh"}}), Strings{"sh"});
  expect_invalid(plan_command({}, {}), "config.command", "no command");
  expect_invalid(plan_command({.command = {""}}, image), "config.command", "no command");
}

TEST(Process, EnvironmentInOrder) {
  ContainerSpec container;
  container.envs = {{"A", "request"}, {"NEW", "n=1"}, {"NEW", "n=2"}};
  const ImageProcess image{.env = {"PATH=/p", "A=image", "B=", "broken", "=x"}};
  EXPECT_EQ(plan_env(container, image, {.home = "/home/u"}, "host-1", true),
            (Strings{"PATH=/p", "A=request", "B=", "NEW=n=2", "HOSTNAME=host-1", "TERM=xterm", "HOME=/home/u"}));
  EXPECT_EQ(plan_env({}, {}, {}, "h", false), (Strings{std::string("PATH=") + kDefaultPath, "HOSTNAME=h", "HOME=/"}));
  container.envs = {{"HOME", "/x"}, {"TERM", "dumb"}, {"HOSTNAME", "other"}, {"PATH", ""}};
  EXPECT_EQ(plan_env(container, {}, {.home = "/home/u"}, "h", true),
            (Strings{"HOME=/x", "TERM=dumb", "HOSTNAME=other", "PATH="}));
}

TEST(Process, CandidatesFollowPath) {
  EXPECT_EQ(exec_candidates("/bin/a", {"PATH=/x"}), Strings{"/bin/a"});
  EXPECT_EQ(exec_candidates("./a", {"PATH=/x"}), Strings{"./a"});
  EXPECT_EQ(exec_candidates("a", {"PATHX=/no", "PATH=/x:/y"}), (Strings{"/x/a", "/y/a"}));
  EXPECT_EQ(exec_candidates("a", {"PATH=/x::"}), (Strings{"/x/a", "./a", "./a"}));
  EXPECT_EQ(exec_candidates("a", {}).size(), 6U);
}

TEST(Process, WorkingDirectory) {
  EXPECT_EQ(plan_working_dir({}, {}), "/");
  EXPECT_EQ(plan_working_dir({}, {.working_dir = "/srv"}), "/srv");
  EXPECT_EQ(plan_working_dir({}, {.working_dir = "srv"}), "/srv");
  EXPECT_EQ(plan_working_dir({.working_dir = "/own"}, {.working_dir = "/srv"}), "/own");
}

TEST(Process, Rlimits) {
  HostFacts host = host_v1();
  auto got = plan_rlimits({{"nofile", {RLIMIT_NOFILE, 1024, 4096}}, {"core", {RLIMIT_CORE, -1, -1}}}, host);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0], (ProgramStep{.op = Op::rlimit, .x = RLIMIT_CORE, .y = RLIM_INFINITY, .z = RLIM_INFINITY}));
  EXPECT_EQ(got[1], (ProgramStep{.op = Op::rlimit, .x = RLIMIT_NOFILE, .y = 1024, .z = 4096}));
  host.can_raise_rlimits = false;
  EXPECT_EQ(plan_rlimits({{"nproc", {RLIMIT_NPROC, 1, 1}}}, host)[0].flags, kMayFail);
}

TEST(Process, LogPath) {
  struct Case {
    const char *directory, *path, *want;
  } cases[] = {{"/var/log/pods/x", "c/0.log", "/var/log/pods/x/c/0.log"},
               {"/var/log/", "0.log", "/var/log/0.log"},
               {"", "0.log", ""},
               {"/var/log", "", ""},
               {"/var/log", "a..b/..c", "/var/log/a..b/..c"}};
  for (const auto& c : cases) EXPECT_EQ(*container_log_path(c.directory, c.path), c.want);
  expect_invalid(container_log_path("var/log", "x"), "log_directory", "\"var/log\"");
  expect_invalid(container_log_path("/var/../log", "x"), "log_directory", "..");
  expect_invalid(container_log_path("/var", "/x"), "log_path", "\"/x\"");
  expect_invalid(container_log_path("/var", "../x"), "log_path", "..");
  expect_invalid(container_log_path("/var", "x/.."), "log_path", "..");
  expect_invalid(container_log_path("/var", "x/"), "log_path", "directory");
}

}  // namespace
}  // namespace podshim::testing
