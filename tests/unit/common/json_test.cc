#include "common/json.h"

#include <gtest/gtest.h>

namespace podshim::json {
namespace {

TEST(Json, WhatIsRefused) {
  const char* cases[] = {"", "{", "{\"a\":1,\"a\":2}", "[1e999]", "{} x", "nul", "\"\\ud800\""};
  for (const char* text : cases) EXPECT_FALSE(parse(text)) << text;
  EXPECT_FALSE(parse(std::string(300, '[') + std::string(300, ']')));
}

TEST(Json, DecodeOfEncodeIsTheSame) {
  const char* cases[] = {
      "null", "true", "-9223372036854775808",           "9223372036854775807", "1.5", "\"\\u00e9\\n\"",
      "[]",   "{}",   R"({"b":1,"a":[{"c":null},"x"]})"};
  for (const char* text : cases) {
    auto value = parse(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(*parse(dump(*value)), *value) << text;
  }
  EXPECT_EQ(dump(*parse(R"({"b":1,"a":2})")), R"({"b":1,"a":2})");  // members keep their order
  EXPECT_EQ(dump(Value("\xff")), "\"\xef\xbf\xbd\"");
}

TEST(Json, ReaderErrorsNameTheFieldAndTheValue) {
  auto root = *parse(R"({"name":7,"port":70000,"on":"yes","list":["a",1],"map":{"k":2},"items":[{"x":1},3],"o":[]})");
  auto r = *Reader::of(root, "spec");
  struct Case {
    std::string got;
    const char* want;
  };
  const Case cases[] = {
      {r.string("name").error().text(), "invalid spec.name: is an integer (7), a string is expected"},
      {r.string("none").error().text(), "invalid spec.none: is missing"},
      {r.integer("port", 1, 65535).error().text(), "invalid spec.port: 70000 is outside 1..65535"},
      {r.boolean("on").error().text(), "invalid spec.on: is a string (\"yes\"), true or false is expected"},
      {r.strings("list").error().text(), "invalid spec.list[1]: is an integer (1), a string is expected"},
      {r.string_map("map").error().text(), "invalid spec.map.k: is an integer (2), a string is expected"},
      {r.objects("items").error().text(), "invalid spec.items[1]: is an integer, an object is expected"},
      {r.object("o").error().text(), "invalid spec.o: is a list, an object is expected"},
  };
  for (const auto& c : cases) EXPECT_EQ(c.got, c.want);
}

TEST(Json, ReaderKnowsWhatWasNotAskedFor) {
  auto root = *parse(R"({"a":1,"b":null,"c":3})");
  auto r = *Reader::of(root);
  EXPECT_FALSE(r.has("b"));
  EXPECT_EQ(*r.integer_or("a", 0), 1);
  r.ignore("b");
  ASSERT_EQ(r.unknown().size(), 1U);
  EXPECT_EQ(r.no_unknown().error().text(), "invalid c: is not a known field");
}

}  // namespace
}  // namespace podshim::json
