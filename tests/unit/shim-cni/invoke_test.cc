#include "shim/cni_client/invoke.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sys/file.h"

namespace podshim::cni {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Invoke : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-plugin-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    fds_ = open_fds();
  }
  void TearDown() override {
    EXPECT_EQ(open_fds(), fds_) << "a file descriptor was left open";
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was not reaped";
    std::filesystem::remove_all(dir_);
  }
  std::string script(const std::string& body) {
    std::string path = dir_ + "/plugin" + std::to_string(count_++);
    std::ofstream(path) << "#!/bin/sh\n" << body;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  static std::size_t open_fds() { return sys::list_dir("/proc/self/fd").value().size(); }

  std::string dir_;
  std::size_t fds_ = 0;
  int count_ = 0;
  ExecRunner runner_;
};

TEST_F(Invoke, GivesEnvironmentAndInputAndTakesBothOutputs) {
  auto answer = runner_.run({.program = script("cat; echo \"$CNI_COMMAND\"; echo oops >&2; exit 3"),
                             .environment = {"CNI_COMMAND=ADD"},
                             .input = "{\"a\":1}",
                             .timeout = seconds(10)});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->out, "{\"a\":1}ADD\n");
  EXPECT_EQ(answer->err, "oops\n");
  EXPECT_EQ(WEXITSTATUS(answer->wait_status), 3);
}

TEST_F(Invoke, APluginThatReadsNothingIsFine) {
  auto answer =
      runner_.run({.program = script("echo done"), .input = std::string(1 << 20, 'x'), .timeout = seconds(10)});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->out, "done\n");
}

TEST_F(Invoke, LargeInputArrivesWhole) {
  auto answer = runner_.run({.program = script("wc -c"), .input = std::string(300000, 'x'), .timeout = seconds(10)});
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::stoi(answer->out), 300000);
}

TEST_F(Invoke, AStartedPluginGetsItsInputLater) {
  ::signal(SIGPIPE, SIG_IGN);
  for (std::size_t size : {7, 300'000}) {
    auto plugin = runner_.start({.program = script("wc -c")});
    ASSERT_TRUE(plugin) << plugin.error().text();
    (*plugin)->give(std::string(size, 'x'));
    auto answer = (*plugin)->answer(seconds(10));
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(std::stoul(answer->out), size);
  }
  auto deaf = runner_.start({.program = script("exec <&-; echo done; exec sleep 0.05")});
  ASSERT_TRUE(deaf);
  (*deaf)->give(std::string(1 << 20, 'x'));
  auto answer = (*deaf)->answer(seconds(10));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->out, "done\n");
  auto slow = runner_.start({.program = script("exec sleep 300")});
  ASSERT_TRUE(slow);
  (*slow)->give(std::string(1 << 20, 'x'));
  answer = (*slow)->answer(milliseconds(200));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::deadline_exceeded);
}

TEST_F(Invoke, AStartedPluginThatIsNotFedEnds) {
  auto plugin = runner_.start({.program = script("cat; echo eof > " + dir_ + "/end")});
  ASSERT_TRUE(plugin);
  plugin->reset();
  EXPECT_EQ(sys::read_file(dir_ + "/end").value_or(""), "eof\n");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "it was not reaped";
}

TEST_F(Invoke, AMissingProgramIsENOENT) {
  auto answer = runner_.run({.program = dir_ + "/none"});
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(ENOENT)) << answer.error().text();
  EXPECT_NE(answer.error().text().find(dir_ + "/none"), std::string::npos);
}

TEST_F(Invoke, AHangingPluginIsKilledWithItsChildren) {
  const auto hanging = script("sleep 300 & echo $! > " + dir_ + "/child; wait");
  std::string written;
  for (milliseconds timeout(300); written.empty() && timeout < seconds(30); timeout *= 3) {  // until it came that far
    auto begin = std::chrono::steady_clock::now();
    auto answer = runner_.run({.program = hanging, .timeout = timeout});
    auto took = std::chrono::steady_clock::now() - begin;
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::deadline_exceeded) << answer.error().text();
    EXPECT_LT(took, timeout + seconds(20));
    written = sys::read_file(dir_ + "/child").value_or("");
  }
  ASSERT_FALSE(written.empty());
  pid_t child = std::stoi(written);
  for (int i = 0; i < 1000 && kill(child, 0) == 0; i++) {
    auto stat = sys::read_file("/proc/" + std::to_string(child) + "/stat");
    if (!stat || stat->find(") Z") != std::string::npos) break;  // nobody's to reap here
    std::this_thread::sleep_for(milliseconds(20));
  }
  auto stat = sys::read_file("/proc/" + std::to_string(child) + "/stat");
  EXPECT_TRUE(!stat || stat->find(") Z") != std::string::npos) << *stat;
}

TEST_F(Invoke, EndlessOutputIsCutOff) {
  auto answer = runner_.run({.program = script("exec cat /dev/zero"), .timeout = seconds(30)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::resource_exhausted) << answer.error().text();
}

TEST_F(Invoke, OfStderrTheEndIsKept) {
  auto answer = runner_.run(
      {.program = script("i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done"), .timeout = seconds(30)});
  ASSERT_TRUE(answer);
  EXPECT_LE(answer->err.size(), 4096U);
  EXPECT_TRUE(answer->err.ends_with("line 1999\n"));
}

TEST_F(Invoke, AGrandchildThatKeepsThePipesDoesNotDelay) {
  auto begin = std::chrono::steady_clock::now();
  auto answer =
      runner_.run({.program = script("sleep 60 & echo $! > " + dir_ + "/child; echo ok"), .timeout = seconds(30)});
  const auto took = std::chrono::steady_clock::now() - begin;
  kill(std::stoi(sys::read_file(dir_ + "/child").value()), SIGKILL);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->out, "ok\n");
  EXPECT_LT(took, seconds(20));
}

}  // namespace
}  // namespace podshim::cni
