#include "shim/monitor/protocol.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "shim/apply/monitor_process_connection.h"
#include "shim/monitor/exit_record.h"

namespace podshim {
namespace {

TEST(PayloadTest, TextsAreTakenOnlyWhenTheyAreThere) {
  struct {
    const char* name;
    std::string bytes;
    std::uint32_t length;
    bool ok;
  } const cases[] = {
      {"whole", std::string("abc\0", 4), 3, true},
      {"empty", std::string("\0", 1), 0, true},
      {"nothing at all", "", 0, false},
      {"no end", "abc", 3, false},
      {"end too late", std::string("abcd\0", 5), 3, false},
      {"longer than the bytes", std::string("abc\0", 4), 4, false},
      {"length wraps", std::string("abc\0", 4), ~0U, false},
      {"a NUL inside", std::string("a\0c\0", 4), 3, false},
  };
  for (const auto& c : cases) {
    PayloadReader reader(c.bytes);
    std::string_view text;
    EXPECT_EQ(reader.text(c.length, &text), c.ok) << c.name;
  }
}

TEST(PayloadTest, RecordsAndBytes) {
  auto bytes = PayloadWriter().record(IdRecord{.id = {}, .number = 7}).text("name").bytes("rest").take();
  PayloadReader reader(bytes);
  IdRecord record;
  std::string_view text, rest;
  ASSERT_TRUE(reader.record(&record));
  EXPECT_EQ(record.number, 7U);
  ASSERT_TRUE(reader.text(4, &text));
  EXPECT_EQ(text, "name");
  EXPECT_FALSE(reader.bytes(5, &rest));
  ASSERT_TRUE(reader.bytes(4, &rest));
  EXPECT_EQ(rest, "rest");
  EXPECT_FALSE(reader.record(&record));
}

TEST(ErrorRecordTest, KeepsKindErrnoAndNamesTheStep) {
  Program program;
  program.add({.op = Op::make_dir, .x = 0755, .b = "/a"});
  program.add({.op = Op::change_dir, .b = "/work"});
  auto record = [](ErrorKind kind, int code, int step, std::string_view op, std::string_view subject,
                   std::string_view detail) {
    ErrorRecord r{.kind = static_cast<std::uint32_t>(kind), .code = code, .step = step};
    r.operation = static_cast<std::uint32_t>(op.size());
    r.subject = static_cast<std::uint32_t>(subject.size());
    r.detail = static_cast<std::uint32_t>(detail.size());
    return PayloadWriter().record(r).text(op).text(subject).text(detail).take();
  };
  Error step = error_of(record(ErrorKind::os, ENOENT, 1, "step", "1", ""), &program);
  EXPECT_EQ(step.text(), "step change_dir /work: ENOENT (while: step 1 of 2)");
  EXPECT_TRUE(step.is(ENOENT));
  Error plain = error_of(record(ErrorKind::failed_precondition, 0, -1, "exec", "abc", "it has ended"), nullptr);
  EXPECT_EQ(plain.kind, ErrorKind::failed_precondition);
  EXPECT_EQ(plain.text(), "monitor exec abc: it has ended");
  EXPECT_EQ(error_of("short", nullptr).kind, ErrorKind::internal);
  EXPECT_EQ(error_of(record(static_cast<ErrorKind>(999), 0, -1, "", "", ""), nullptr).kind, ErrorKind::internal);
}

TEST(ExitRecordTest, OomKills) {
  struct {
    const char* name;
    const char* text;
    std::uint64_t want;
  } const cases[] = {
      {"v1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3},
      {"v2", "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n", 1},
      {"none", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", 0},
      {"no such line", "oom_kill_disable 1\nunder_oom 1\n", 0},
      {"empty", "", 0},
      {"no newline", "oom_kill 9", 9},
      {"garbage", "oom_kill x\n", 0},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_oom_kills(c.text), c.want) << c.name;
}

TEST(ExitRecordTest, CodeOfAWaitStatus) {
  EXPECT_EQ(exit_of(W_EXITCODE(0, 0), 5).code, 0);
  EXPECT_EQ(exit_of(W_EXITCODE(255, 0), 5).code, 255);
  EXPECT_EQ(exit_of(W_EXITCODE(0, 9), 5).code, 137);
  EXPECT_EQ(exit_of(W_EXITCODE(0, 9), 5).signal, 9);
  EXPECT_EQ(exit_of(W_EXITCODE(0, 11 | WCOREFLAG), 5).code, 139);
  EXPECT_EQ(exit_of(W_EXITCODE(3, 0), 5).finished_at_ns, 5);
}

}  // namespace
}  // namespace podshim
