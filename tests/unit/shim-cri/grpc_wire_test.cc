// The bytes and texts of gRPC over HTTP/2.
#include "shim/cri/grpc_wire.h"

#include <gtest/gtest.h>

namespace podshim::cri {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST(GrpcWire, TimeoutsAreEightDigitsAndAUnit) {
  struct Case {
    const char* value;
    std::optional<std::chrono::nanoseconds> want;
  };
  const Case cases[] = {{"1S", 1s},
                        {"0n", 0ns},
                        {"100m", 100ms},
                        {"99999999u", 99999999us},
                        {"2M", 2min},
                        {"3H", 3h},
                        {"", std::nullopt},
                        {"S", std::nullopt},
                        {"12", std::nullopt},
                        {"-1S", std::nullopt},
                        {"1 S", std::nullopt},
                        {"123456789S", std::nullopt},
                        {"1s", std::nullopt},
                        {"1x", std::nullopt}};
  for (const auto& c : cases) EXPECT_EQ(parse_timeout(c.value), c.want) << c.value;
  const auto longest = parse_timeout("99999999H");
  ASSERT_TRUE(longest);
  EXPECT_GT(*longest, 24h * 365);  // and no overflow
}

TEST(GrpcWire, StatusTextsSurviveTheHeader) {
  std::string every;
  for (int byte = 0; byte < 256; byte++) every += static_cast<char>(byte);
  const auto encoded = percent_encoded(every);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e) << static_cast<int>(c);
  EXPECT_EQ(percent_decoded(encoded), every);
  EXPECT_EQ(percent_encoded("100 % of \xc3\xa4"), "100 %25 of %C3%A4");
  for (const char* plain : {"", "%", "%4", "%zz", "a%", "%%41"}) {
    const std::string decoded = percent_decoded(plain);
    EXPECT_EQ(decoded, plain == "%%41"s ? "%A" : plain);
  }
}

// As it travels, and never within a character.
TEST(GrpcWire, LongTextsAreCut) {
  EXPECT_EQ(status_of(Error::of(ErrorKind::not_found, "find", "x")).code, Code::not_found);
  for (const char* unit : {"x", "%", "\n", "\xc3\xa4", "\xe2\x82\xac", "\xff"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    const auto encoded = percent_encoded(text);
    EXPECT_LE(encoded.size(), kMaxStatusText) << unit;
    EXPECT_GT(encoded.size(), kMaxStatusText - 12) << unit;
    const auto back = percent_decoded(encoded);
    EXPECT_TRUE(text.starts_with(back)) << unit;
    EXPECT_EQ(back.size() % std::string(unit).size(), 0u) << unit;
  }
}

TEST(GrpcWire, ABodyIsOneMessage) {
  EXPECT_EQ(only_message(framed("hello")).value(), "hello");
  EXPECT_EQ(only_message(framed("")).value(), "");
  EXPECT_EQ(only_message("").error().code, Code::internal);
  EXPECT_EQ(only_message("\0\0\0\0"s).error().code, Code::internal);
  EXPECT_EQ(only_message("\0\0\0\0\2x"s).error().code, Code::internal);
  EXPECT_EQ(only_message(framed("a") + framed("b")).error().code, Code::internal);
  EXPECT_EQ(only_message("\0\xff\xff\xff\xffx"s).error().code, Code::internal);
  EXPECT_EQ(only_message("\1\0\0\0\1x"s).error().code, Code::unimplemented);
}

TEST(GrpcWire, MessagesGoOutInPiecesOfAnySize) {
  for (const std::string& message : {""s, "x"s, std::string(1000, 'y')}) {
    for (const std::size_t room : {1u, 2u, 4u, 5u, 6u, 7u, 5000u}) {
      OutMessage out(message);
      EXPECT_FALSE(out.done());
      std::string all;
      std::uint8_t buffer[5000];
      while (!out.done()) {
        const auto n = out.take(buffer, room);
        ASSERT_GT(n, 0u);
        ASSERT_LE(n, room);
        all.append(reinterpret_cast<char*>(buffer), n);
      }
      EXPECT_EQ(all, framed(message)) << room;
      EXPECT_EQ(out.take(buffer, room), 0u);
    }
  }
  EXPECT_TRUE(OutMessage().done());
}

}  // namespace
}  // namespace podshim::cri
