#include "common/kube/quantity.h"

#include <gtest/gtest.h>

namespace podshim::kube {
namespace {

TEST(Quantity, Values) {
  struct Case {
    const char* text;
    std::int64_t milli, whole;
  };
  const Case cases[] = {{"1", 1000, 1},
                        {"500m", 500, 1},
                        {"0.5", 500, 1},
                        {"1500m", 1500, 2},
                        {"64Mi", 67108864000, 67108864},
                        {"1Gi", 1073741824000, 1073741824},
                        {"1G", 1000000000000, 1000000000},
                        {"1e3", 1000000, 1000},
                        {"1E3", 1000000, 1000},
                        {"2E", INT64_MAX, 2000000000000000000},
                        {"1k", 1000000, 1000},
                        {"100n", 1, 1},
                        {"1u", 1, 1},
                        {"0", 0, 0},
                        {"+3", 3000, 3},
                        {"-1", -1000, -1},
                        {".5", 500, 1},
                        {"5.", 5000, 5},
                        {"1.5Ki", 1536000, 1536},
                        {"9Ei", INT64_MAX, INT64_MAX},
                        {"0.1", 100, 1}};
  for (const auto& c : cases) {
    auto q = Quantity::parse(c.text);
    ASSERT_TRUE(q) << c.text;
    EXPECT_EQ(q->milli(), c.milli) << c.text;
    EXPECT_EQ(q->whole(), c.whole) << c.text;
  }
}

TEST(Quantity, Refused) {
  for (const char* text : {"", "m", "Mi", "1 Gi", "1mb", "1KB", "1.2.3", "abc", "1e", "--1", "1ki", "0x10", "1e99"})
    EXPECT_FALSE(Quantity::parse(text)) << text;
}

TEST(Quantity, OrderAndForms) {
  EXPECT_EQ(*Quantity::parse("1000m"), *Quantity::parse("1"));
  EXPECT_LT(*Quantity::parse("999Mi"), *Quantity::parse("1Gi"));
  EXPECT_EQ(*Quantity::from(json::Value(2)), *Quantity::parse("2"));
  EXPECT_EQ(*Quantity::from(json::Value(0.25)), *Quantity::parse("250m"));
  EXPECT_FALSE(Quantity::from(json::Value(true)));
}

}  // namespace
}  // namespace podshim::kube
