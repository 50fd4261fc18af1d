#include <gtest/gtest.h>

#include "common/json.h"
#include "tests/unit/shim-state/samples.h"

namespace podshim::state {
namespace {

TEST(Record, SandboxSurvivesTheRoundTrip) {
  auto record = samples::sandbox_record();
  auto back = decode_sandbox(encode(record));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, record);
  SandboxRecord least{.id = samples::sandbox_id('b')};
  EXPECT_EQ(decode_sandbox(encode(least)).value(), least);
}

TEST(Record, ContainerSurvivesTheRoundTrip) {
  auto record = samples::container_record();
  auto back = decode_container(encode(record));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, record);
  ContainerRecord least{.id = samples::container_id('b'), .sandbox = samples::sandbox_id('a')};
  EXPECT_EQ(decode_container(encode(least)).value(), least);
}

// Every member of the samples is set: then every member must stand in the JSON. A forgotten one changes this count.
TEST(Record, EveryMemberOfTheSpecsIsEncoded) {
  auto value = json::parse(encode(samples::sandbox_record())).value();
  EXPECT_EQ(value.find("spec")->as_object().size(), 16U);
  auto container = json::parse(encode(samples::container_record())).value();
  EXPECT_EQ(container.find("spec")->as_object().size(), 18U);
  EXPECT_EQ(container.find("spec")->find("security")->as_object().size(), 13U);
  EXPECT_EQ(container.find("spec")->find("resources")->as_object().size(), 9U);
}

TEST(Record, BadTextIsAnErrorThatNamesTheField) {
  std::string good = encode(samples::sandbox_record());
  auto with = [&](const char* name, json::Value v) {
    auto value = json::parse(good).value();
    value.set(name, std::move(v));
    return json::dump(value);
  };
  struct Case {
    const char* name;
    std::string text;
    const char* want;
  } cases[] = {
      {"empty", "", ""},
      {"truncated", good.substr(0, good.size() / 2), ""},
      {"zeroed", std::string(good.size(), '\0'), ""},
      {"not an object", "[]", ""},
      {"no version", "{}", "version"},
      {"newer version", with("version", 2), "version"},
      {"no id", "{\"version\":1}", "id"},
      {"short id", with("id", "abc"), "id"},
      {"ready is a string", with("ready", "yes"), "ready"},
      {"bad address", with("ips", json::Value::strings({"10.0.0"})), "ips[0]"},
      {"pid too large", with("monitor", json::Value::object().set("pid", 1LL << 40)), "monitor.pid"},
      {"bad enum", with("spec", json::Value::object().set("namespaces", json::Value::object().set("pid", "mars"))),
       "spec.namespaces.pid"},
  };
  for (const auto& c : cases) {
    auto got = decode_sandbox(c.text);
    ASSERT_FALSE(got) << c.name;
    EXPECT_NE(got.error().text().find(c.want), std::string::npos) << c.name << ": " << got.error().text();
  }
}

TEST(Record, UnknownMembersAreIgnored) {
  auto value = json::parse(encode(samples::container_record())).value();
  value.set("from-the-future", 1);
  EXPECT_EQ(decode_container(json::dump(value)).value(), samples::container_record());
}

TEST(Difference, NamesTheFirstField) {
  SandboxSpec was = samples::sandbox_spec();
  EXPECT_EQ(first_difference(was, was), "");
  SandboxSpec is = was;
  is.labels["app"] = "api";
  EXPECT_EQ(first_difference(was, is), "labels.app: \"web\" became \"api\"");
  is = was;
  is.labels["extra"] = "1";
  EXPECT_EQ(first_difference(was, is), "labels.extra: nothing became \"1\"");
  is = was;
  is.ports.clear();
  EXPECT_EQ(first_difference(was, is).substr(0, 5), "ports");
  ContainerSpec c = samples::container_spec(), d = c;
  d.envs[1].second = "3";
  EXPECT_EQ(first_difference(c, d), "envs[1][1]: \"2\" became \"3\"");
}

}  // namespace
}  // namespace podshim::state
