#include "shim/plan/seccomp.h"

#include <sched.h>
#include <sys/syscall.h>

#include <fstream>
#include <sstream>

#include "tests/unit/shim-plan/filter_machine.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

constexpr long kFchmodat2 = 452, kMseal = 462, kUnheardOf = 600;

std::string compile(std::string_view json, std::uint64_t capabilities = default_capabilities()) {
  auto profile = parse_seccomp_profile(json, capabilities);
  EXPECT_TRUE(profile) << error_text(profile);
  if (!profile) return {};
  auto filter = compile_seccomp(*profile);
  EXPECT_TRUE(filter) << error_text(filter);
  return filter ? filter->program : std::string();
}

TEST(SeccompProfile, DenyOneAllowTheRest) {  // as critest has it
  const auto program = compile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["chmod", "fchmodat", "no_such_call"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_EQ(run_filter(program, call(SYS_chmod)), errno_action(EPERM));
  EXPECT_EQ(run_filter(program, call(SYS_fchmodat)), errno_action(EPERM));
  EXPECT_EQ(run_filter(program, call(SYS_read)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(program, call(kFchmodat2)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(program, call(kUnheardOf)), SECCOMP_RET_ALLOW);
  // The same call by another instruction set is no way around.
  EXPECT_EQ(run_filter(program, call(15, {}, AUDIT_ARCH_I386)), errno_action(ENOSYS));
  EXPECT_EQ(run_filter(program, call(SYS_chmod | 0x40000000)), errno_action(ENOSYS));
}

TEST(SeccompProfile, EveryAction) {
  struct Case {
    const char* text;
    std::uint32_t want;
  } cases[] = {{R"("SCMP_ACT_KILL")", SECCOMP_RET_KILL_THREAD},
               {R"("SCMP_ACT_KILL_THREAD")", SECCOMP_RET_KILL_THREAD},
               {R"("SCMP_ACT_KILL_PROCESS")", SECCOMP_RET_KILL_PROCESS},
               {R"("SCMP_ACT_TRAP")", SECCOMP_RET_TRAP},
               {R"("SCMP_ACT_ERRNO")", errno_action(EPERM)},
               {R"("SCMP_ACT_ERRNO", "errnoRet": 13)", errno_action(13)},
               {R"("SCMP_ACT_TRACE", "errnoRet": 7)", SECCOMP_RET_TRACE | 7},
               {R"("SCMP_ACT_LOG")", SECCOMP_RET_LOG}};
  for (const auto& c : cases) {
    const auto program = compile(std::string(
                                     R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpid", "mseal"],
        "action": )") + c.text + "}]}");
    EXPECT_EQ(run_filter(program, call(SYS_getpid)), c.want) << c.text;
    EXPECT_EQ(run_filter(program, call(kMseal)), c.want) << c.text;  // newer than libseccomp
  }
  const auto strict = compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 95, "syscalls": [
      {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(run_filter(strict, call(SYS_getpid)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(strict, call(SYS_read)), errno_action(95));
}

TEST(SeccompProfile, EveryComparison) {
  struct Case {
    const char* op;
    std::uint64_t value, two, hit, miss;
  } cases[] = {{"SCMP_CMP_EQ", 5, 0, 5, 6},
               {"SCMP_CMP_NE", 5, 0, 6, 5},
               {"SCMP_CMP_LT", 5, 0, 4, 5},
               {"SCMP_CMP_LE", 5, 0, 5, 6},
               {"SCMP_CMP_GE", 5, 0, 5, 4},
               {"SCMP_CMP_GT", 5, 0, 6, 5},
               {"SCMP_CMP_MASKED_EQ", 0xf0, 0x10, 0x1f, 0x2f}};
  for (const auto& c : cases) {
    const auto program = compile(std::string(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["close"],
        "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": ")") +
                                 c.op + R"(", "value": )" + std::to_string(c.value) + R"(, "valueTwo": )" +
                                 std::to_string(c.two) + "}]}]}");
    EXPECT_EQ(run_filter(program, call(SYS_close, {c.hit})), SECCOMP_RET_ALLOW) << c.op;
    EXPECT_EQ(run_filter(program, call(SYS_close, {c.miss})), errno_action(EPERM)) << c.op;
  }
}

TEST(SeccompProfile, ArgumentsAreAndedButRepeatedOnesAreAlternatives) {
  const auto both =
      compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["dup2"], "action": "SCMP_ACT_ALLOW",
      "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 2}]}]})");
  EXPECT_EQ(run_filter(both, call(SYS_dup2, {1, 2})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(both, call(SYS_dup2, {1, 3})), errno_action(EPERM));
  const auto either =
      compile(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["dup2"], "action": "SCMP_ACT_ALLOW",
      "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 0, "op": "SCMP_CMP_EQ", "value": 7}]}]})");
  EXPECT_EQ(run_filter(either, call(SYS_dup2, {1})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(either, call(SYS_dup2, {7})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(either, call(SYS_dup2, {3})), errno_action(EPERM));
}

TEST(SeccompProfile, IncludesAndExcludes) {
  struct Case {
    const char* condition;
    bool applies;
  } cases[] = {{R"("includes": {"caps": ["CAP_SYS_CHROOT"]})", true},
               {R"("includes": {"caps": ["CAP_SYS_ADMIN"]})", false},
               {R"("includes": {"caps": ["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"]})", false},
               {R"("excludes": {"caps": ["CAP_SYS_ADMIN"]})", true},
               {R"("excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]})", false},
               {R"("includes": {"arches": ["amd64", "x32"]})", true},
               {R"("includes": {"arches": ["s390x"]})", false},
               {R"("excludes": {"arches": ["amd64"]})", false},
               {R"("excludes": {"arches": ["s390x"]})", true},
               {R"("includes": {"minKernel": "4.8"})", true},
               {R"("includes": {"minKernel": "99.0"})", false},
               {R"("includes": {}, "excludes": {})", true},
               {R"("includes": null, "comment": "x")", true}};
  for (const auto& c : cases) {
    const auto program = compile(std::string(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["getpid"], "action": "SCMP_ACT_ALLOW", )") +
                                 c.condition + "}]}");
    EXPECT_EQ(run_filter(program, call(SYS_getpid)) == SECCOMP_RET_ALLOW, c.applies) << c.condition;
  }
}

TEST(SeccompProfile, FlagsAndArchitectures) {
  auto profile = parse_seccomp_profile(R"({"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_LOG",
      "SECCOMP_FILTER_FLAG_TSYNC"], "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
      "syscalls": [{"name": "getpid", "action": "SCMP_ACT_ALLOW"}]})",
                                       0);
  ASSERT_TRUE(profile) << error_text(profile);
  EXPECT_EQ(profile->flags, static_cast<std::uint32_t>(SECCOMP_FILTER_FLAG_LOG));
  auto filter = compile_seccomp(*profile);
  ASSERT_TRUE(filter) << error_text(filter);
  EXPECT_EQ(run_filter(filter->program, call(20, {}, AUDIT_ARCH_I386)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(filter->program, call(20, {}, AUDIT_ARCH_AARCH64)), errno_action(ENOSYS));
}

TEST(SeccompProfile, ErrorsNameTheField) {
  struct Case {
    const char *json, *field;
  } cases[] = {
      {"", ""},
      {"[]", ""},
      {"{}", "defaultAction"},
      {R"({"defaultAction": "SCMP_ACT_DANCE"})", "SCMP_ACT_DANCE"},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "SCMP_ACT_NOTIFY"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000})", "defaultErrnoRet"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]})", "flags"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]})", "syscalls[0].names"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]})", "syscalls[0].action"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
          "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})",
       "syscalls[0].args[0].index"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
          "args": [{"index": 1, "value": 1, "op": "LIKE"}]}]})",
       "LIKE"},
  };
  for (const auto& c : cases) {
    auto got = parse_seccomp_profile(c.json, 0);
    ASSERT_FALSE(got) << c.json;
    EXPECT_NE(got.error().text().find(c.field), std::string::npos) << got.error().text();
  }
}

// Software that is not ours: the profile Debian ships for podman and skopeo, in Docker's published JSON form.
TEST(SeccompProfile, ReadsTheOneOfContainersCommon) {
  std::ifstream file("/usr/share/containers/seccomp.json");
  if (!file)
    GTEST_SKIP() << "NO /usr/share/containers/seccomp.json: install golang-github-containers-common (skopeo needs it)";
  std::stringstream text;
  text << file.rdbuf();
  const auto plain = compile(text.str());
  EXPECT_EQ(run_filter(plain, call(SYS_read)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(plain, call(SYS_chroot)), SECCOMP_RET_ALLOW);
  constexpr std::uint64_t kNetlink = 16, kAudit = 9;  // refused to those who may not audit
  EXPECT_EQ(run_filter(plain, call(SYS_socket, {kNetlink, 3, kAudit})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(compile(text.str(), 0), call(SYS_socket, {kNetlink, 3, kAudit})), errno_action(EINVAL));
  EXPECT_NE(run_filter(plain, call(SYS_bpf)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(plain, call(kUnheardOf)), errno_action(ENOSYS));
  EXPECT_EQ(run_filter(plain, call(3, {}, AUDIT_ARCH_I386)), SECCOMP_RET_ALLOW);
  const auto admin = compile(text.str(), kAllCapabilities);
  EXPECT_EQ(run_filter(admin, call(SYS_bpf)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run_filter(admin, call(SYS_mount)), SECCOMP_RET_ALLOW);
}

TEST(SeccompFilters, OneFilterPerProfileAndCapabilities) {
  SeccompFilters filters;
  const SeccompChoice own{.type = SeccompChoice::Type::runtime_default};
  const SeccompChoice local{.type = SeccompChoice::Type::localhost, .localhost_ref = "/p.json"};
  const char* json = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})";
  EXPECT_EQ(*filters.filter({}, "", 0), nullptr);
  auto first = filters.filter(own, "", 1), again = filters.filter(own, "", 1), other = filters.filter(own, "", 3);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(first->get(), again->get());
  EXPECT_NE(first->get(), other->get());
  auto file = filters.filter(local, json, 1);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->get(), filters.filter(local, json, 1)->get());
  auto bad = filters.filter(local, "{", 1);
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("/p.json"), std::string::npos) << bad.error().text();
  for (std::uint64_t i = 0; i < 200; i++) ASSERT_TRUE(filters.filter(local, json, i));  // does not grow without end
}

}  // namespace
}  // namespace podshim::testing
