#include "shim/monitor/log_writer.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "common/sys/file.h"

namespace podshim {
namespace {

constexpr timespec kTime{1700000000, 12345678};
constexpr const char* kStamp = "2023-11-14T22:13:20.012345678Z ";

class LogWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/podshim-log-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/c.log";
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(dir_)); }

  std::string read(const std::string& suffix = "") { return sys::read_file(path_ + suffix).value_or("(none)"); }
  // Without the stamp, long contents by their length.
  std::string brief(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      auto end = text.find('\n', at);
      if (end == std::string::npos) return out + "(unterminated)";
      auto line = text.substr(at, end - at);
      at = end + 1;
      EXPECT_TRUE(line.starts_with(kStamp)) << line.substr(0, 40);
      line.erase(0, std::string_view(kStamp).size());
      if (line.size() > 40) line = line.substr(0, 9) + "#" + std::to_string(line.size() - 9);
      out += line + "|";
    }
    return out;
  }

  std::string dir_, path_;
};

struct Input {
  LogStream stream;
  std::string data;
  bool end = false;
};

struct Case {
  const char* name;
  std::vector<Input> inputs;
  const char* want;
};

constexpr LogStream kOut = LogStream::out, kErr = LogStream::err;
std::string x(std::size_t n) { return std::string(n, 'x'); }

TEST_F(LogWriterTest, Lines) {
  const Case cases[] = {
      {"nothing", {{kOut, "", true}}, ""},
      {"one line", {{kOut, "a\n"}}, "stdout F a|"},
      {"two lines in one read", {{kOut, "a\nb\n"}}, "stdout F a|stdout F b|"},
      {"empty lines", {{kOut, "\n\n"}}, "stdout F |stdout F |"},
      {"a line in three reads", {{kOut, "a"}, {kOut, "b"}, {kOut, "c\n"}}, "stdout F abc|"},
      {"newline alone", {{kOut, "a"}, {kOut, "\n"}}, "stdout F a|"},
      {"rest stays until the end", {{kOut, "a\nb"}}, "stdout F a|"},
      {"rest at the end", {{kOut, "a\nb"}, {kOut, "", true}}, "stdout F a|stdout F b|"},
      {"nothing left at the end", {{kOut, "a\n"}, {kOut, "", true}}, "stdout F a|"},
      {"streams do not mix", {{kOut, "a"}, {kErr, "b"}, {kOut, "c\n"}, {kErr, "d\n"}}, "stdout F ac|stderr F bd|"},
      {"carriage return is content", {{kOut, "a\r\n"}}, "stdout F a\r|"},
      {"exactly a piece", {{kOut, x(16384) + "\n"}}, "stdout F #16384|"},
      {"exactly a piece, newline later", {{kOut, x(16384)}, {kOut, "\n"}}, "stdout F #16384|"},
      {"a piece and one", {{kOut, x(16385) + "\n"}}, "stdout P #16384|stdout F x|"},
      {"a piece, then one", {{kOut, x(16384)}, {kOut, "x\n"}}, "stdout P #16384|stdout F x|"},
      {"two pieces", {{kOut, x(32768) + "\n"}}, "stdout P #16384|stdout F #16384|"},
      {"long without newline", {{kOut, x(40000)}, {kOut, "", true}}, "stdout P #16384|stdout P #16384|stdout F #7232|"},
      {"grown over the piece", {{kOut, x(16000)}, {kOut, x(1000) + "\n"}}, "stdout P #16384|stdout F #616|"},
      {"line after a long one", {{kOut, x(16385) + "\nb\n"}}, "stdout P #16384|stdout F x|stdout F b|"},
      {"zero bytes are content", {{kOut, std::string("a\0b\n", 4)}}, nullptr},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    (void)sys::remove_file(path_);
    LogWriter writer;
    ASSERT_TRUE(writer.open(path_, {}));
    for (const auto& input : c.inputs) {
      if (input.end) {
        writer.end(input.stream, kTime);
      } else {
        writer.write(input.stream, input.data, kTime);
      }
    }
    EXPECT_EQ(brief(read()), c.want != nullptr ? std::string(c.want) : std::string("stdout F a\0b|", 13));
    EXPECT_EQ(writer.dropped(), 0U);
  }
}

// Any cutting of the input into reads gives the same log.
TEST_F(LogWriterTest, CutsOfTheInputDoNotMatter) {
  std::string input = "short\n" + x(16384) + "\n" + x(50000) + "\n\nlast";
  std::string want;
  for (std::size_t size :
       {input.size(), std::size_t{1}, std::size_t{7}, std::size_t{16383}, std::size_t{16384}, std::size_t{16385}}) {
    SCOPED_TRACE(size);
    (void)sys::remove_file(path_);
    LogWriter writer;
    ASSERT_TRUE(writer.open(path_, {}));
    for (std::size_t at = 0; at < input.size(); at += size) writer.write(kOut, input.substr(at, size), kTime);
    writer.end(kOut, kTime);
    if (want.empty()) want = read();
    EXPECT_EQ(read(), want);
  }
}

TEST_F(LogWriterTest, ManyLinesInOneRead) {
  std::string input, want;
  for (int i = 0; i < 5000; i++) {
    input += std::to_string(i) + "\n";
    want += "stdout F " + std::to_string(i) + "|";
  }
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {}));
  writer.write(kOut, input, kTime);
  EXPECT_EQ(brief(read()), want);
}

TEST_F(LogWriterTest, AppendsToWhatIsThere) {
  ASSERT_TRUE(sys::write_file(path_, std::string(kStamp) + "stdout F old\n", 0640));
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {}));
  writer.write(kOut, "new\n", kTime);
  EXPECT_EQ(brief(read()), "stdout F old|stdout F new|");
}

constexpr std::int64_t kRecord = 31 + 9 + 5 + 1;  // stamp, stream and tag, "12345", newline

TEST_F(LogWriterTest, RotatesAtTheByte) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  for (int i = 10000; i < 10009; i++) writer.write(kOut, std::to_string(i) + "\n", kTime);
  EXPECT_EQ(brief(read()), "stdout F 10008|");
  EXPECT_EQ(brief(read(".1")), "stdout F 10006|stdout F 10007|");
  EXPECT_EQ(brief(read(".2")), "stdout F 10004|stdout F 10005|");
  EXPECT_EQ(read(".3"), "(none)");
}

TEST_F(LogWriterTest, RotatesInTheMiddleOfOneRead) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  std::string input;
  for (int i = 10000; i < 10005; i++) input += std::to_string(i) + "\n";
  writer.write(kOut, input, kTime);
  EXPECT_EQ(brief(read()), "stdout F 10004|");
  EXPECT_EQ(brief(read(".1")), "stdout F 10002|stdout F 10003|");
}

TEST_F(LogWriterTest, OneFileIsCutToNothing) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 1}));
  for (int i = 10000; i < 10005; i++) writer.write(kOut, std::to_string(i) + "\n", kTime);
  EXPECT_EQ(brief(read()), "stdout F 10004|");
  EXPECT_EQ(read(".1"), "(none)");
}

TEST_F(LogWriterTest, ALineIsNotCutInItsMiddle) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 20000, .max_files = 3}));
  writer.write(kOut, "first\n" + x(20000) + "\nsecond\n", kTime);
  EXPECT_EQ(brief(read(".1")), "stdout F first|stdout P #16384|stdout F #3616|");
  EXPECT_EQ(brief(read()), "stdout F second|");
}

TEST_F(LogWriterTest, AnEndlessLineIsEndedAndTheDiskStaysBounded) {
  LogWriter writer;
  constexpr std::int64_t kLimit = 100000;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = kLimit, .max_files = 2}));
  for (int i = 0; i < 100; i++) writer.write(kOut, x(65536), kTime);
  for (const char* suffix : {"", ".1"}) EXPECT_LE(read(suffix).size(), 2U * kLimit + 64) << suffix;
  EXPECT_TRUE(brief(read(".1")).ends_with("stdout P #16384|stdout F |")) << "the last record must close the line";
  EXPECT_EQ(read(".2"), "(none)");
}

TEST_F(LogWriterTest, AFullDiskDropsAndCounts) {
  LogWriter writer;
  ASSERT_TRUE(writer.open("/dev/full", {}));
  writer.write(kOut, "12345\n", kTime);
  EXPECT_EQ(writer.dropped(), static_cast<std::uint64_t>(kRecord));
}

TEST_F(LogWriterTest, WithoutAPathEverythingIsDiscarded) {
  LogWriter writer;
  ASSERT_TRUE(writer.open("", {}));
  writer.write(kOut, "12345\n", kTime);
  writer.end(kOut, kTime);
  EXPECT_TRUE(writer.reopen());
  EXPECT_EQ(writer.dropped(), 0U);
}

TEST(TimestampTest, Dates) {
  struct {
    timespec time;
    const char* want;
  } const cases[] = {
      {{0, 0}, "1970-01-01T00:00:00.000000000Z"},          {{86399, 999999999}, "1970-01-01T23:59:59.999999999Z"},
      {{951782400, 1}, "2000-02-29T00:00:00.000000001Z"},  {{1709164800, 0}, "2024-02-29T00:00:00.000000000Z"},
      {{1735689599, 0}, "2024-12-31T23:59:59.000000000Z"}, {{1735689600, 0}, "2025-01-01T00:00:00.000000000Z"},
      {{4107542400, 0}, "2100-03-01T00:00:00.000000000Z"},
  };
  for (const auto& c : cases) {
    char text[kTimestampLength];
    format_timestamp(c.time, text);
    EXPECT_EQ(std::string(text, sizeof text), c.want);
  }
}

}  // namespace
}  // namespace podshim
