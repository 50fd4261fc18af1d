#include "shim/cni_client/conflist.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace podshim::cni {
namespace {

TEST(Conflist, ReadsAList) {
  auto list =
      parse_network(R"({"cniVersion":"1.0.0","cniVersions":["0.4.0","1.1.0","9.0.0"],"name":"podshim","disableGC":true,
    "plugins":[{"type":"bridge","bridge":"b0"},{"type":"portmap","capabilities":{"portMappings":true,"x":false}}]})",
                    "a.conflist");
  ASSERT_TRUE(list) << list.error().text();
  EXPECT_EQ(list->name, "podshim");
  EXPECT_EQ(list->version.str(), "1.1.0");
  EXPECT_TRUE(list->disable_gc);
  ASSERT_EQ(list->plugins.size(), 2U);
  EXPECT_EQ(list->plugins[1].capabilities, std::vector<std::string>{"portMappings"});
  EXPECT_EQ(list->plugins[0].config.find("bridge")->as_string(), "b0");
}

TEST(Conflist, ASinglePluginIsAListOfOne) {
  auto list = parse_network(R"({"cniVersion":"0.3.1","name":"n","type":"ptp"})", "a.conf");
  ASSERT_TRUE(list) << list.error().text();
  ASSERT_EQ(list->plugins.size(), 1U);
  EXPECT_EQ(list->plugins[0].type, "ptp");
}

TEST(Conflist, WrongOnesAreErrorsThatNameFileAndField) {
  struct Case {
    const char* name;
    const char* text;
    const char* want;
  } cases[] = {
      {"not JSON", "{", "f.conflist"},
      {"no name", R"({"cniVersion":"1.0.0","plugins":[{"type":"x"}]})", "name"},
      {"bad name", R"({"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"x"}]})", "name"},
      {"no version", R"({"name":"n","plugins":[{"type":"x"}]})", "cniVersion"},
      {"too new", R"({"cniVersion":"2.0.0","name":"n","plugins":[{"type":"x"}]})", "2.0.0"},
      {"too old", R"({"cniVersion":"0.2.0","name":"n","plugins":[{"type":"x"}]})", "0.2.0"},
      {"no number", R"({"cniVersion":"1.0","name":"n","plugins":[{"type":"x"}]})", "cniVersion"},
      {"no plugins", R"({"cniVersion":"1.0.0","name":"n","plugins":[]})", "plugins"},
      {"neither", R"({"cniVersion":"1.0.0","name":"n"})", "plugins"},
      {"plugin without type", R"({"cniVersion":"1.0.0","name":"n","plugins":[{}]})", "plugins[0].type"},
      {"type with a path", R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../sh"}]})", "plugins[0].type"},
      {"capability no boolean", R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x","capabilities":{"a":1}}]})",
       "capabilities.a"},
  };
  for (const auto& c : cases) {
    auto got = parse_network(c.text, "f.conflist");
    ASSERT_FALSE(got) << c.name;
    EXPECT_NE(got.error().text().find(c.want), std::string::npos) << c.name << ": " << got.error().text();
  }
}

class ConfDir : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-conf-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void put(const std::string& name, const std::string& network) {
    std::ofstream(dir_ + "/" + name) << R"({"cniVersion":"1.0.0","name":")" << network
                                     << R"(","plugins":[{"type":"x"}]})";
  }
  std::string dir_;
};

TEST_F(ConfDir, TheFirstByNameWins) {
  put("20-b.conflist", "b");
  put("05-ignored.txt", "t");
  put("10-a.conf", "a");
  EXPECT_EQ(load_network(dir_).value().name, "a");
}

TEST_F(ConfDir, NothingThereSaysWhere) {
  auto empty = load_network(dir_);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().kind, ErrorKind::not_found);
  EXPECT_NE(empty.error().text().find(dir_), std::string::npos);
  auto missing = load_network(dir_ + "/none");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("no such directory"), std::string::npos);
  for (const auto* none : {&empty, &missing})
    EXPECT_NE(none->error().text().find("cni plugin not initialized"), std::string::npos) << none->error().text();
}

// What a user of the node gets for it must not read as if the request were wrong.
TEST_F(ConfDir, AWrongFileIsTheNodesMistake) {
  for (const char* text : {"{", R"({"cniVersion":"1.0.0","name":"n","plugins":[]})"}) {
    std::ofstream(dir_ + "/10-a.conflist") << text;
    auto wrong = load_network(dir_);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, ErrorKind::unavailable) << wrong.error().text();
    EXPECT_NE(wrong.error().text().find(dir_ + "/10-a.conflist"), std::string::npos) << wrong.error().text();
  }
}

TEST_F(ConfDir, TheFingerprintFollowsTheFileInForce) {
  EXPECT_EQ(fingerprint(dir_ + "/none"), "");
  put("20-b.conflist", "b");
  auto first = fingerprint(dir_);
  EXPECT_EQ(fingerprint(dir_), first);
  put("20-b.conflist", "longer");
  auto second = fingerprint(dir_);
  EXPECT_NE(second, first);
  put("10-a.conflist", "a");
  EXPECT_NE(fingerprint(dir_), second);
}

}  // namespace
}  // namespace podshim::cni
