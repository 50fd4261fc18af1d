// The daemon dies at a step: between any two fault points of an operation (podshim-fault, common/fault.h). After its
// restart the object is complete or gone, the same request succeeds, and once all is removed nothing is left.
// Each round kills at one point. In a short run at the first passing of each name and at every sixth point; with
// PODSHIM_LONG at all of them, and at random ones up to 1,000 rounds.
#include <filesystem>
#include <random>
#include <set>

#include "tests/e2e/node/fault_suite.h"
#include "tests/support/long_run.h"

namespace podshim::test {
namespace {

constexpr int kLongRounds = 1000;
constexpr std::size_t kShortStep = 6;

class DaemonFault : public Fault {
 protected:
  void round(const Operation& operation, const Point& point) {
    SCOPED_TRACE(std::string(operation.name) + ", killed at " + point.name + ", passing " +
                 std::to_string(point.passing));
    World w = prepare(operation);
    arm(*node, point);
    auto first = operation.act(*node, w);
    died_ += node->daemon_has_ended() && std::filesystem::exists(node->dir() + "/died");
    disarm(*node);
    node->stop_daemon(SIGKILL);  // the point may lie behind the answer
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(node->start_daemon()) << node->log();
    const auto took = std::chrono::steady_clock::now() - begin;
    // A start that waits for what it must not takes 5 s (a removal, a monitor) or 10 s (a kill).
    EXPECT_LT(took, std::chrono::seconds(8) * slowness());
    slow_ += took > std::chrono::seconds(4) * slowness();
    const std::string torn = operation.torn ? operation.torn(*node, w) : "";
    EXPECT_EQ(torn, "");
    auto again = operation.act(*node, w);
    EXPECT_TRUE(again.ok()) << again.error_message() << "; the first time: " << first.error_message();
    EXPECT_EQ(operation.wrong(*node, w), "");
    clear();
    expect_nothing_left();
  }
  int died_ = 0;  // rounds in which the daemon ended before the test stopped it
  int slow_ = 0;  // restarts that took longer than four seconds: a busy disk may cost one now and then
};

TEST_F(DaemonFault, KilledAtAnyPointNothingIsLostOrLeft) {
  int rounds = 0;
  std::set<std::string> met;
  std::vector<std::pair<const Operation*, std::vector<Point>>> all;
  for (const auto& operation : operations()) {
    const auto points = points_of(trace(operation));
    ASSERT_FALSE(points.empty()) << operation.name;
    all.emplace_back(&operation, points);
    for (std::size_t i = 0; i < points.size(); i++) {
      if (!met.insert(points[i].name).second && i % kShortStep != 0 && !long_run()) continue;
      round(operation, points[i]);
      rounds++;
      if (HasFailure()) return;
    }
  }
  std::mt19937 random(std::random_device{}());
  for (; long_run() && rounds < kLongRounds && !HasFailure(); rounds++) {
    const auto& [operation, points] = all[random() % all.size()];
    round(*operation, points[random() % points.size()]);
  }
  std::printf("%d kill rounds, in %d the daemon ended at the point itself\n", rounds, died_);
  EXPECT_GT(died_, rounds * 9 / 10);
  EXPECT_LE(slow_, rounds / 100 + 1);
  std::size_t sum = 0;
  for (const auto& [operation, points] : all) {
    std::printf("  %s: %zu points\n", operation->name, points.size());
    sum += points.size();
  }
  RecordProperty("rounds", rounds);
  RecordProperty("points", static_cast<int>(sum));
}

}  // namespace
}  // namespace podshim::test
