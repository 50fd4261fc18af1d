#include "common/log.h"

#include <gtest/gtest.h>

#include "common/shorten.h"

namespace podshim {
namespace {

TEST(Log, AValueIsEscapedAndBounded) {
  testing::internal::CaptureStderr();
  log::warn("told", {{"plain", "a/b"}, {"text", "two words\n"}, {"long", std::string(3'000'000, 'x')}});
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_NE(line.find(" warn podshim: told plain=a/b text=\"two words\\n\" long=\"xxx"), std::string::npos)
      << line.substr(0, 200);
  EXPECT_TRUE(line.ends_with("xxx... (3000000 bytes)\"\n")) << line.substr(line.size() - std::min(line.size(), 50UL));
  EXPECT_LT(line.size(), kMostTold + 200);
}

TEST(Shorten, EndsBetweenCharacters) {
  struct Case {
    const char* name;
    std::string_view text;
    std::size_t most;
    const char* want;
  };
  const Case cases[] = {
      {"fits", "abc", 3, "abc"},
      {"does not", "abcd", 3, "abc... (4 bytes)"},
      {"two bytes", "ab\xc3\xa4z", 3, "ab... (5 bytes)"},
      {"after them", "ab\xc3\xa4z", 4, "ab\xc3\xa4... (5 bytes)"},
      {"four bytes", "\xf0\x9f\x98\x80", 3, "... (4 bytes)"},
      {"no UTF-8", "\x80\x80\x80\x80\x80\x80", 5, "\x80\x80... (6 bytes)"},
      {"nothing", "abc", 0, "... (3 bytes)"},
  };
  for (const auto& c : cases) EXPECT_EQ(shorten(c.text, c.most), c.want) << c.name;
}

}  // namespace
}  // namespace podshim
