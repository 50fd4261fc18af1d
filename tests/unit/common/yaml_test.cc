#include "common/yaml.h"

#include <gtest/gtest.h>

namespace podshim::yaml {
namespace {

TEST(Yaml, ScalarsAreWhatKubernetesUsersExpect) {
  struct Case {
    const char* text;
    json::Value want;
  };
  const Case cases[] = {{"8080", 8080},
                        {"0x1f", 31},
                        {"0o17", 15},
                        {"-3", -3},
                        {"1.5", 1.5},
                        {"true", true},
                        {"\"true\"", "true"},
                        {"yes", "yes"},
                        {"~", nullptr},
                        {"null", nullptr},
                        {"\"8080\"", "8080"},
                        {"1e3x", "1e3x"},
                        {"10.42.0.1", "10.42.0.1"},
                        {"12:30", "12:30"}};
  for (const auto& c : cases) {
    auto documents = parse_all(std::string("v: ") + c.text, "f.yaml");
    ASSERT_TRUE(documents) << c.text;
    EXPECT_EQ(*documents->front().find("v"), c.want) << c.text;
  }
}

TEST(Yaml, ErrorsCarryFileAndLine) {
  struct Case {
    const char* text;
    const char* where;
  };
  const Case cases[] = {{"a: 1\nb: [1\n", "f.yaml:"},
                        {"a: 1\nb: 2\na: 3\n", "f.yaml:3: duplicate key \"a\""},
                        {"a:\n\t- x\n", "f.yaml:2"}};
  for (const auto& c : cases) {
    auto documents = parse_all(c.text, "f.yaml");
    ASSERT_FALSE(documents) << c.text;
    EXPECT_NE(documents.error().text().find(c.where), std::string::npos) << documents.error().text();
  }
}

TEST(Yaml, DocumentsLinesAndAliases) {
  auto documents = parse_all("a: &x {k: 1}\nb: *x\n---\n---\nc:\n  - d\n", "f");
  ASSERT_TRUE(documents);
  ASSERT_EQ(documents->size(), 2U);
  EXPECT_EQ(*(*documents)[0].find("a"), *(*documents)[0].find("b"));
  EXPECT_EQ((*documents)[1].find("c")->line, 5);
}

TEST(Yaml, AliasBombIsRefused) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 8; i++) {
    std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; k++) bomb += "," + last;
    bomb += "]\n";
  }
  EXPECT_FALSE(parse_all(bomb, "f"));
}

TEST(Yaml, DumpReadsBackTheSame) {
  auto value = *json::parse(R"({"s":"true","n":5,"z":"007","l":[{"a":null},"x\ny","x\ny\n","x\n\n"," x\n","\n",true,1.5,"true"],"e":"","o":{}})");
  auto again = parse_all(yaml::dump(value), "f");
  ASSERT_TRUE(again) << yaml::dump(value);
  EXPECT_EQ(json::dump(again->front()), json::dump(value)) << yaml::dump(value);
}

}  // namespace
}  // namespace podshim::yaml
