// A monitor dies at a step: between a request and its answer, around a clone, while it records an exit. Its Pod is
// buried: NotReady, no process left, each exit what was recorded or 137; Stop and Remove work, the name is free,
// nothing is left. The daemon lives on and sees it, or is killed as well and finds it at its start: each point both
// ways with PODSHIM_LONG, else by turns.
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "tests/e2e/node/fault_suite.h"
#include "tests/support/long_run.h"

namespace podshim::test {
namespace {

constexpr int kKilled = 137;
constexpr auto kSoon = std::chrono::seconds(5);

class MonitorFault : public Fault {
 protected:
  static bool died() {
    return at_last(std::chrono::seconds(1),
                   [] { return std::filesystem::exists(node->dir() + "/monitor-died") ? "" : "lives"; })
        .empty();
  }
  static bool exists(const std::string& sandbox) { return !node->cri().sandbox_status(sandbox).id().empty(); }
  static std::string not_buried(const World& w) {
    if (exists(w.sandbox_id) && node->cri().sandbox_status(w.sandbox_id).state() == cri::SANDBOX_READY) return "ready";
    for (const auto& item : node->leaks(std::chrono::milliseconds(0)))
      if (item.starts_with("process ")) return item;
    if (w.container_id.empty()) return "";
    const auto container = node->cri().container_status(w.container_id);
    return container.state() == cri::CONTAINER_RUNNING && !container.id().empty() ? "running" : "";
  }
  // Of a container that would have ended with 0.
  static void expect_true_exit(const World& w, const Point& point) {
    const auto container = node->cri().container_status(w.container_id);
    EXPECT_EQ(container.state(), cri::CONTAINER_EXITED);
    EXPECT_GT(container.finished_at(), 0);
    const bool recorded = point.name == "sync exits" || point.name == "tell exit";
    EXPECT_TRUE(container.exit_code() == 0 || (!recorded && container.exit_code() == kKilled))
        << container.exit_code() << ": " << container.message();
  }
  void round(const Operation& operation, const Point& point, bool restart) {
    const std::string name = operation.name;
    SCOPED_TRACE(name + ", monitor killed at " + point.name + ", passing " + std::to_string(point.passing) +
                 (restart ? ", daemon too" : ""));
    World w = prepare(operation);
    arm(*node, point, "monitor-");
    auto first = operation.act(*node, w);
    const bool dead = died();
    disarm(*node);
    died_ += dead;
    if (!dead) {  // a request that is repeated until it may be answered is passed a varying number of times
      EXPECT_TRUE(first.ok()) << first.error_message();
      EXPECT_GT(point.passing, 1) << "a point that is always passed was not";
      clear();
      return expect_nothing_left();
    }
    if (restart) {
      node->stop_daemon(SIGKILL);
      ASSERT_TRUE(node->start_daemon()) << node->log();
    }
    if (w.sandbox_id.empty()) {
      EXPECT_EQ(at_last(kSoon, [] { return count_sandboxes(*node) == 0 ? "" : "half a sandbox"; }), "");
    } else {
      EXPECT_EQ(at_last(kSoon, [&] { return not_buried(w); }), "");
      auto again = operation.act(*node, w);
      const bool ends = name.starts_with("Stop") || name.starts_with("Remove");
      EXPECT_TRUE(operation.depth == 0 || again.ok() == ends) << again.error_message();
      if (name == "StopContainer, with grace") expect_true_exit(w, point);
      auto removed = node->cri().remove_sandbox(w.sandbox_id);
      EXPECT_TRUE(removed.ok()) << removed.error_message();
    }
    auto next = run_sandbox(*node, w);
    EXPECT_TRUE(next.ok()) << next.error_message() << "; the first time: " << first.error_message();
    clear();
    expect_nothing_left();
  }
  int died_ = 0;
};

TEST_F(MonitorFault, KilledAtAnyPointThePodIsBuried) {
  int rounds = 0;
  std::string table;
  for (const auto& operation : operations()) {
    if (operation.before || std::string(operation.name).starts_with("Import")) continue;
    const auto points = points_of(trace(operation, "monitor-"));
    if (points.empty()) continue;
    table += std::string("  ") + operation.name + ": " + std::to_string(points.size()) + " points\n";
    for (std::size_t i = 0; i < points.size(); i++)
      for (bool restart : {false, true}) {
        if (restart == (i % 2 == 0) && !long_run()) continue;
        round(operation, points[i], restart);
        rounds++;
        if (HasFailure()) return;
      }
  }
  std::printf("%d rounds, in %d the monitor ended at the point itself\n%s", rounds, died_, table.c_str());
  EXPECT_GT(rounds, 20);
  EXPECT_GT(died_, rounds * 9 / 10);
  RecordProperty("rounds", rounds);
}

}  // namespace
}  // namespace podshim::test
