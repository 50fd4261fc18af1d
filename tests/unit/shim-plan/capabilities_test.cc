#include "shim/plan/capabilities.h"

#include <set>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

TEST(Capabilities, NamesAndNumbersAreOneToOne) {
  std::set<std::string> names;
  for (int i = 0; i <= 40; i++) {
    const std::string name = capability_name(i);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(capability_number(name), i) << name;
    EXPECT_EQ(capability_number(name.substr(4)), i) << name;
  }
  EXPECT_EQ(capability_number("cap_Net_Admin"), 12);
  EXPECT_EQ(capability_name(63), "CAP_63");
  for (const char* bad : {"", "CAP_", "NET", "CAP_CAP_KILL", "ALL"})
    EXPECT_EQ(capability_number(bad), std::nullopt) << bad;
}

TEST(Capabilities, DefaultsAreTheFourteen) {
  EXPECT_EQ(print_capabilities(default_capabilities()),
            "CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,SETGID,SETUID,SETPCAP,NET_BIND_SERVICE,NET_RAW,SYS_CHROOT,MKNOD,"
            "AUDIT_WRITE,SETFCAP");
  EXPECT_EQ(print_capabilities(0), "none");
}

struct Case {
  const char* name;
  std::vector<std::string> add, drop;
  bool privileged;
  std::uint64_t want;
};

TEST(Capabilities, AddAndDrop) {
  const std::uint64_t kDefault = default_capabilities(), kNetAdmin = 1U << 12, kNetRaw = 1U << 13;
  const Case cases[] = {
      {"nothing", {}, {}, false, kDefault},
      {"add short name", {"NET_ADMIN"}, {}, false, kDefault | kNetAdmin},
      {"add long name, any case", {"cap_net_admin"}, {}, false, kDefault | kNetAdmin},
      {"drop", {}, {"NET_RAW"}, false, kDefault & ~kNetRaw},
      {"drop wins over add", {"NET_RAW"}, {"CAP_NET_RAW"}, false, kDefault & ~kNetRaw},
      {"add all", {"ALL"}, {}, false, kAllCapabilities},
      {"drop all", {}, {"all"}, false, 0},
      {"drop all, add one", {"NET_ADMIN"}, {"ALL"}, false, kNetAdmin},
      {"add all, drop one", {"ALL"}, {"NET_RAW"}, false, kAllCapabilities & ~kNetRaw},
      {"privileged", {}, {"ALL"}, true, kAllCapabilities},
  };
  for (const auto& c : cases) {
    auto plan = plan_capabilities({.add = c.add, .drop = c.drop}, c.privileged, host_v1());
    ASSERT_TRUE(plan) << c.name << ": " << error_text(plan);
    EXPECT_EQ(print_capabilities(plan->bounding), print_capabilities(c.want)) << c.name;
    EXPECT_EQ(plan->effective, c.want) << c.name;
    EXPECT_EQ(plan->permitted, c.want) << c.name;
    EXPECT_EQ(plan->inheritable | plan->ambient | plan->unavailable, 0U) << c.name;
  }
}

TEST(Capabilities, WhatTheHostLacksIsLeftOutAndTold) {
  HostFacts host = host_v1();
  host.capabilities &= ~(std::uint64_t{1} << 24);
  auto plan = plan_capabilities({.add = {"SYS_RESOURCE", "NET_ADMIN"}}, false, host);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->bounding, default_capabilities() | 1U << 12);
  EXPECT_EQ(print_capabilities(plan->unavailable), "SYS_RESOURCE");
}

TEST(Capabilities, AKernelWithMoreThanWeKnow) {
  HostFacts host = host_v1();
  host.last_capability = 42;
  host.capabilities = (std::uint64_t{1} << 43) - 1;
  auto plan = plan_capabilities({.add = {"ALL"}}, false, host);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->bounding, host.capabilities);
}

TEST(Capabilities, UnknownNameIsNamed) {
  expect_invalid(plan_capabilities({.add = {"CHOWN", "FLY"}}, false, host_v1()), "capabilities.add_capabilities[1]",
                 "\"FLY\"");
  expect_invalid(plan_capabilities({.drop = {"SWIM"}}, true, host_v1()), "capabilities.drop_capabilities[0]",
                 "\"SWIM\"");
}

}  // namespace
}  // namespace podshim::testing
