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

TEST(Yaml, MergeKeys) {
  struct Case {
    const char* text;
    const char* want;  // of c, as JSON; "" = an error
  };
  const Case cases[] = {
      {"a: &a {x: 1, y: 2}\nc: {<<: *a, z: 3}\n", R"({"z":3,"x":1,"y":2})"},
      {"a: &a {x: 1, y: 2}\nc:\n  y: 5\n  <<: *a\n", R"({"y":5,"x":1})"},
      {"a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n", R"({"x":1,"y":2})"},
      {"a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\n", R"({"y":2,"x":1})"},
      {"c: {'<<': 1}\n", R"({"<<":1})"},
      {"c: {<<: word}\n", ""},
      {"c: {<<: [word]}\n", ""},
      {"a: &a {x: 1}\nc: {<<: [[*a]]}\n", ""},
  };
  for (const auto& c : cases) {
    auto documents = parse_all(c.text, "f");
    if (*c.want == 0) {
      ASSERT_FALSE(documents) << c.text;
      EXPECT_NE(documents.error().text().find("<<: is neither"), std::string::npos) << documents.error().text();
      continue;
    }
    ASSERT_TRUE(documents) << c.text << documents.error().text();
    EXPECT_EQ(json::dump(*documents->front().find("c")), c.want) << c.text;
  }
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

TEST(Yaml, AStrayTokenIsNoEndlessStream) {
  for (const char* text : {",", "a: b\n---\n,", ", a: b", "--- {}\n,"}) {
    auto got = yaml::parse_all(text, "f");
    ASSERT_FALSE(got) << text;
    EXPECT_TRUE(got.error().text().find("f:") != std::string::npos) << got.error().text();
  }
  EXPECT_EQ(yaml::parse_all("---\n---\na: b\n...\n...\n---\n", "f")->size(), 1u);
}

TEST(Yaml, DumpReadsBackTheSame) {
  auto value = *json::parse(
      R"({"s":"true","n":5,"z":"007","l":[{"a":null},"x\ny","x\ny\n","x\n\n"," x\n","\n",true,1.5,"true"],"e":"","o":{}})");
  auto again = parse_all(yaml::dump(value), "f");
  ASSERT_TRUE(again) << yaml::dump(value);
  EXPECT_EQ(json::dump(again->front()), json::dump(value)) << yaml::dump(value);
}

}  // namespace
}  // namespace podshim::yaml
