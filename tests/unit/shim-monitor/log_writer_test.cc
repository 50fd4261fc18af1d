#include "shim/monitor/log_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

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
  for (const char* suffix : {"", ".1"}) EXPECT_LE(read(suffix).size(), kLimit + kLimit / 8U + 64) << suffix;
  EXPECT_TRUE(brief(read(".1")).ends_with("stdout P #16384|stdout F |")) << "the last record must close the line";
  EXPECT_EQ(read(".2"), "(none)");
}

TEST_F(LogWriterTest, AFullDiskDropsAndCounts) {
  LogWriter writer;
  ASSERT_TRUE(writer.open("/dev/full", {}));
  writer.write(kOut, "12345\n", kTime);
  EXPECT_EQ(writer.dropped(), 6U);
}

// A disk that is full after so many bytes: RLIMIT_FSIZE takes a part of a write, then refuses, as ENOSPC does.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// Whatever byte it is that has no room: records are whole, and every byte is in the log or counted.
TEST_F(LogWriterTest, AFullDiskLeavesWholeRecordsAndCountsTheRest) {
  const std::string lines = "one\n" + x(16390) + "\ntwo\n" + x(40000) + "\nthree\n";
  const std::string later = "four\n" + x(20000) + "\nfive\n";
  for (rlim_t room = 0; room < 57200; room += room < 200 ? 1 : 331) {
    SCOPED_TRACE(room);
    (void)sys::remove_file(path_);
    LogWriter writer;
    ASSERT_TRUE(writer.open(path_, {}));
    {
      FullDisk full(room);
      for (std::size_t at = 0; at < lines.size(); at += 9000) writer.write(kOut, lines.substr(at, 9000), kTime);
    }
    writer.write(kOut, later, kTime);
    std::string content, log = brief(read());
    ASSERT_EQ(log.find("unterminated"), std::string::npos);
    EXPECT_TRUE(log.ends_with("stdout F four|stdout P #16384|stdout F #3616|stdout F five|")) << log;
    // Contents without the records around them. An F record without content ends a line that was lost.
    std::size_t bytes = 0;
    const std::string text = read();
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text.find('\n', at);
      const auto line = std::string_view(text).substr(at, end - at);
      const std::size_t head = std::string_view(kStamp).size() + 9;
      ASSERT_GE(line.size(), head);
      bytes += line.size() - head + (line[head - 2] == 'F' && line.size() > head ? 1 : 0);
      at = end + 1;
    }
    EXPECT_EQ(bytes + writer.dropped(), lines.size() + later.size());
  }
}

TEST_F(LogWriterTest, NewsOfLossesComeFirstAtDoublesAndAtTheEnd) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {}));
  EXPECT_FALSE(writer.take_news());
  std::vector<std::uint64_t> told;
  auto write = [&] {
    writer.write(kOut, "1234\n", kTime);
    if (writer.take_news()) told.push_back(writer.dropped());
  };
  {
    FullDisk full(0);
    for (int i = 0; i < 9; i++) write();
  }
  for (int i = 0; i < 3; i++) write();
  EXPECT_EQ(told, (std::vector<std::uint64_t>{5, 10, 20, 40, 45}));
}

TEST_F(LogWriterTest, ALineThatLostItsEndIsEndedBeforeTheNextOne) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {}));
  writer.write(kOut, x(16384 + 10), kTime);  // a P record stands there
  {
    FullDisk full(0);
    writer.write(kOut, x(30000), kTime);
    writer.write(kErr, "lost\n", kTime);
  }
  writer.write(kOut, x(20000) + "\nnext\n", kTime);
  writer.write(kErr, "seen\n", kTime);
  EXPECT_EQ(brief(read()), "stdout P #16384|stdout F |stdout F next|stderr F seen|");
  EXPECT_EQ(writer.dropped(), 10U + 30000 + 5 + 20001);
}

TEST_F(LogWriterTest, RotationOfAnotherIsLeftToIt) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  writer.write(kOut, "10000\n", kTime);
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".kubelet").c_str()), 0);
  for (int i = 10001; i < 10004; i++) writer.write(kOut, std::to_string(i) + "\n", kTime);
  EXPECT_EQ(brief(read(".kubelet")), "stdout F 10000|stdout F 10001|stdout F 10002|stdout F 10003|");
  EXPECT_EQ(read(), "(none)");
  ASSERT_TRUE(writer.reopen());
  writer.write(kOut, "10004\n", kTime);
  EXPECT_EQ(brief(read()), "stdout F 10004|");
  // Nobody asks for a new one: the disk stays bounded all the same.
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".lost").c_str()), 0);
  for (int i = 10005; i < 10009; i++) writer.write(kOut, std::to_string(i) + "\n", kTime);
  EXPECT_EQ(brief(read(".lost")), "stdout F 10004|stdout F 10005|stdout F 10006|stdout F 10007|");
  EXPECT_EQ(brief(read()), "stdout F 10008|");
  EXPECT_EQ(read(".1"), "(none)");
}

std::string records(int from, int to) {
  std::string out;
  for (int i = from; i < to; i++) out += "stdout F " + std::to_string(i) + "|";
  return out;
}

// Each step of a rotation is made to fail, three limits long: all that was written is there, in order, and once the
// step works again the files are turned as ever.
TEST_F(LogWriterTest, ARotationThatFailsLosesNoFile) {
  struct Failure {
    const char* name;
    const char* in_the_way;  // a directory where the rotation wants a file
  } const cases[] = {{"the new file cannot be made", ".new"}, {"the oldest cannot be moved on", ".3"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    LogWriter writer;
    ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
    int next = 10000;
    auto write = [&](int lines) {
      for (int i = 0; i < lines; i++) writer.write(kOut, std::to_string(next++) + "\n", kTime);
    };
    auto all = [&] {
      std::string text;
      for (const char* suffix : {".2", ".1", ".new", ""})
        if (auto part = sys::read_file(path_ + suffix)) text += *part;
      return brief(text);
    };
    write(6);
    ASSERT_EQ(all(), records(10000, 10006));
    ASSERT_TRUE(sys::make_dir(path_ + c.in_the_way));
    write(6);
    EXPECT_EQ(all(), records(10000, 10012));
    ASSERT_TRUE(sys::remove_dir(path_ + c.in_the_way));
    write(6);
    EXPECT_EQ(brief(read()), records(10016, 10018));
    EXPECT_EQ(read(".new"), "(none)");
    EXPECT_EQ(read(".3"), "(none)");
    ASSERT_TRUE(sys::remove_tree(dir_));
    ASSERT_TRUE(sys::make_dir(dir_));
  }
}

// What a writer that was killed between two steps of a rotation left.
TEST_F(LogWriterTest, OpenPutsLeftoversInTheirPlace) {
  const std::string record = std::string(kStamp) + "stdout F ";
  ASSERT_TRUE(sys::write_file(path_ + ".new", "", 0640));
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  EXPECT_EQ(read(".new"), "(none)");
  ASSERT_TRUE(sys::write_file(path_ + ".new", record + "last\n", 0640));
  ASSERT_TRUE(sys::write_file(path_ + ".2", record + "older\n", 0640));
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  EXPECT_EQ(read(".new"), "(none)");
  EXPECT_EQ(brief(read(".1")), "stdout F last|");
  EXPECT_EQ(brief(read(".2")), "stdout F older|");
}

// A reader that opens the path at any moment finds a file.
TEST_F(LogWriterTest, TheNameIsThereDuringRotations) {
  LogWriter writer;
  ASSERT_TRUE(writer.open(path_, {.max_bytes = 2 * kRecord, .max_files = 3}));
  std::atomic<bool> done{false};
  int missed = 0, looks = 0;
  std::thread reader([&] {
    for (; !done; looks++) missed += !sys::exists(path_);
  });
  for (int i = 0; i < 5000; i++) writer.write(kOut, "12345\n", kTime);
  done = true;
  reader.join();
  EXPECT_EQ(missed, 0) << "of " << looks;
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
