#include "shim/lifecycle/objects.h"

#include <gtest/gtest.h>

namespace podshim::lifecycle {
namespace {

std::shared_ptr<Sandbox> sandbox(char digit, const std::string& name) {
  return std::make_shared<Sandbox>(
      state::SandboxRecord{.id = *SandboxId::parse(std::string(64, digit)), .spec = {.metadata = {.name = name}}},
      SandboxFacts{});
}

std::shared_ptr<Container> container(char digit, std::shared_ptr<Sandbox> of, const std::string& name) {
  state::ContainerRecord record{.id = *ContainerId::parse(std::string(64, digit)), .sandbox = of->id};
  record.spec.metadata.name = name;
  return std::make_shared<Container>(std::move(record), std::move(of), CgroupPaths{});
}

TEST(Table, LooksUpByIdPrefixAndName) {
  Table t;
  auto a = sandbox('a', "one"), b = sandbox('b', "two");
  EXPECT_TRUE(t.add(a));
  EXPECT_TRUE(t.add(b));
  EXPECT_EQ(t.sandbox("a").value(), a);
  EXPECT_EQ(t.sandbox(std::string(64, 'b')).value(), b);
  EXPECT_EQ(t.sandbox("c").value(), nullptr);
  EXPECT_EQ(t.sandbox("").error().kind, ErrorKind::invalid_argument);
  auto near = std::make_shared<Sandbox>(
      state::SandboxRecord{.id = *SandboxId::parse("ab" + std::string(62, '0')), .spec = {.metadata = {.name = "n"}}},
      SandboxFacts{});
  t.add(near);
  EXPECT_EQ(t.sandbox("a").error().kind, ErrorKind::invalid_argument);
  EXPECT_EQ(t.sandbox("ab").value(), near);
  EXPECT_EQ(t.sandbox_named(name_key(a->record.spec)), a);
}

TEST(Table, ASandboxWithContainersStays) {
  Table t;
  auto s = sandbox('a', "one");
  t.add(s);
  auto c = container('c', s, "main");
  EXPECT_TRUE(t.add(c));
  EXPECT_EQ(t.containers_of(s->id).size(), 1U);
  EXPECT_FALSE(t.erase(*s));
  t.erase(*c);
  EXPECT_TRUE(t.erase(*s));
  EXPECT_FALSE(t.add(container('d', s, "late")));
  EXPECT_EQ(t.sandbox_named(name_key(s->record.spec)), nullptr);
}

TEST(Table, AMonitorThatGoesWhileItsSandboxIsMadeIsRemembered) {
  Table t;
  auto s = sandbox('a', "one");
  t.begin(s->id.str());
  EXPECT_TRUE(t.known(s->id.str()));
  EXPECT_EQ(t.gone(s->id), nullptr);
  EXPECT_FALSE(t.add(s));
  t.end(s->id.str());
  EXPECT_EQ(t.gone(s->id), s);
  EXPECT_TRUE(t.making().empty());
}

}  // namespace
}  // namespace podshim::lifecycle
