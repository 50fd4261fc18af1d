// A step without a fault point fails. Two looks at the source: each name that stands there (a fault point, a stage, an
// undo step) is passed by some operation here; and each call that changes what a restart finds has a point right above.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "tests/e2e/node/fault_suite.h"

namespace podshim::test {
namespace {

// Where the steps of the daemon and of a monitor are.
constexpr const char* kRooms[] = {"shim/lifecycle",  "shim/state", "shim/image",  "shim/apply",
                                  "shim/cni_client", "common/sys", "shim/monitor"};
constexpr int kLinesAbove = 4;

// What no operation here passes, and why.
const std::map<std::string, std::string> kNotPassed = {
    {"set records aside", "only a damaged database is; what is left of it is read by nobody"},
    {"put records in place",
     "the first start of a root, or one without its database: kills in damage_test of the store"},
    {"copy use of layer", "the same as the next"},
    {"set layer aside", "only a damaged layer that a container uses is: damage_test of the store"},
    {"drop corrupt fetch", "only when a registry sent wrong bytes; the file is in a scratch directory"},
    {"make pause file", "only where memfds may not be executed"},
    {"sync directory", "the first start of a root alone: its instance id"},
    {"bind netns directory", "once a machine, before any Pod; each start looks and goes on"},
    {"make netns directory private", "the same"},
    {"share bound netns directory", "the same"},
};

// Whose calls are not steps of their own, and why.
const std::map<std::string, std::string> kOther = {
    {"shim/image/layer_root.cc", "inside one layer that does not count yet; a point for each entry (unpack.cc)"},
    {"shim/image/attributes.cc", "the same"},
    {"shim/image/overlay.cc", "mounts that nobody but this process has"},
    {"shim/monitor/log_rotation.cc", "a log turned half way is a log: its reader follows the names"},
    {"shim/monitor/monitor.cc", "its one file is the log of its complaints"},
    {"shim/monitor/child_mounts.cc", "of a container that ends with its monitor, in its own mount namespace"},
    {"shim/monitor/child_path.cc", "the same"},
    {"shim/monitor/child_root.cc", "the same"},
    {"shim/state/quarantine.cc", "only after damage: damage_test"},
    {"common/sys/in_directory.cc", "a mount namespace of its own"},
};

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::filesystem::path> sources() {
  std::vector<std::filesystem::path> out = {PODSHIM_SOURCE_DIR "/common/rollback.h"};
  for (const char* room : kRooms)
    for (const auto& file : std::filesystem::directory_iterator(std::string(PODSHIM_SOURCE_DIR "/") + room))
      if (file.path().extension() == ".cc") out.push_back(file.path());
  return out;
}

class FaultSteps : public Fault {};

TEST_F(FaultSteps, EveryNameIsPassed) {
  std::set<std::string> passed, named;
  for (const auto& operation : operations())
    for (const char* whose : {"", "monitor-"})
      for (auto& name : trace(operation, whose)) passed.insert(std::move(name));
  const std::regex name(R"re((?:stage\.enter|undo\.add|fault_point)\("([^"]+)")re");
  for (const auto& file : sources())
    for (const auto& line : lines_of(file))
      for (std::sregex_iterator it(line.begin(), line.end(), name), end; it != end; ++it) named.insert((*it)[1]);
  EXPECT_GT(named.size(), 50U);
  for (const auto& step : named)
    EXPECT_TRUE(passed.contains(step) != kNotPassed.contains(step)) << "no operation here passes: " << step;
}

TEST_F(FaultSteps, EveryChangeHasAPointAbove) {
  const std::regex change(
      R"re((?:^|[^\w>])::(rename|renameat2?|link|linkat|symlink|symlinkat|syncfs|fsync|fdatasync|mkdir|mkdirat|mknodat|rmdir|unlink|unlinkat|mount|umount2)\(|O_CREAT|run\("(BEGIN|COMMIT))re");
  // After a failure: what was half made goes, by the one who made it; the next start would do the same.
  const std::regex after_failure(R"re(if \(!|remove_socket = |ROLLBACK)re");
  int changes = 0;
  for (const auto& file : sources()) {
    const auto name = std::filesystem::relative(file, PODSHIM_SOURCE_DIR).string();
    if (kOther.contains(name)) continue;
    const auto lines = lines_of(file);
    for (std::size_t i = 0; i < lines.size(); i++) {
      if (!std::regex_search(lines[i], change)) continue;
      changes++;
      bool has_point = std::regex_search(lines[i], after_failure) && lines[i].find("!= 0") == std::string::npos;
      for (std::size_t j = i - std::min<std::size_t>(i, kLinesAbove); j <= i; j++)
        has_point |= lines[j].find("fault_point(\"") != std::string::npos;
      EXPECT_TRUE(has_point) << name << ":" << i + 1 << ": no fault point above: " << lines[i];
    }
  }
  EXPECT_GT(changes, 20);
}

}  // namespace
}  // namespace podshim::test
