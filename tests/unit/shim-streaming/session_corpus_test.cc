// The fuzz targets of sessions over their corpora and changes of them, also where there is no clang; and what the
// corpora reach.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>

#include "tests/fuzz/shim-streaming/seeds.h"
#include "tests/fuzz/shim-streaming/sessions.h"
#include "tests/unit/shim-streaming/mutation.h"

namespace podshim::streaming::test {
namespace {

namespace fs = std::filesystem;

struct Target {
  const char* name;
  std::vector<Seed> (*seeds)();
  Reached (*run)(std::string_view);
  fs::path folder() const { return fs::path(PODSHIM_SOURCE_DIR "/tests/fuzz/shim-streaming/corpus") / name; }
};
const Target kTargets[] = {{"fuzz_streaming_spdy", spdy_session_seeds, run_spdy_session},
                           {"fuzz_streaming_websocket", websocket_session_seeds, run_websocket_session}};

TEST(SessionCorpus, IsWhatTheSeedsSay) {
  for (const auto& target : kTargets) {
    std::map<std::string, std::string> seeds, files;
    for (const auto& seed : target.seeds()) EXPECT_TRUE(seeds.emplace(seed.name, seed.input).second) << seed.name;
    if (std::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr) {
      fs::remove_all(target.folder());
      fs::create_directories(target.folder());
      for (const auto& [name, input] : seeds) std::ofstream(target.folder() / name, std::ios::binary) << input;
    }
    for (const auto& file : fs::directory_iterator(target.folder())) {
      std::ifstream in(file.path(), std::ios::binary);
      files[file.path().filename()] = {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    EXPECT_EQ(files, seeds) << target.name << ": PODSHIM_UPDATE_GOLDEN=1 writes them";
  }
}

// What has to be seen of a seed.
struct Want {
  std::size_t target;
  const char* seed;
  std::size_t Reached::* what;
  std::size_t least;
};
const Want kWants[] = {
    {0, "connection-ends", &Reached::bytes, 5},
    {0, "connection-ends", &Reached::ended, 1},
    {0, "connection-refuses", &Reached::refused, 1},
    {0, "connection-full", &Reached::refused, 20},  // more than 1000 streams
    {0, "connection-pings", &Reached::pings, 10'000},
    {0, "exec", &Reached::bytes, 20 + 4096},
    {0, "exec", &Reached::ended, 4},
    {0, "exec-terminal", &Reached::bytes, 9},
    {0, "exec-no-program", &Reached::bytes, 50},  // the status that says so
    {0, "exec-pool-full", &Reached::bytes, 50},
    {0, "exec-output-waits", &Reached::bytes, 100'000},
    {0, "exec-input-waits", &Reached::processes, 1},
    {0, "exec-grandchild", &Reached::ended, 2},
    {0, "attach", &Reached::bytes, 4096},
    {0, "forward", &Reached::bytes, 4096},
    {0, "forward", &Reached::ended, 2},
    {0, "forward-second", &Reached::connections, 2},
    {0, "forward-without-id", &Reached::connections, 1},
    {0, "forward-closed-port", &Reached::bytes, 40},
    {0, "forward-no-port", &Reached::refused, 3},
    {0, "forward-pool-full", &Reached::bytes, 40},
    {0, "forward-held", &Reached::connections, 1},
    {0, "forward-twice", &Reached::refused, 1},
    {0, "forward-lonely", &Reached::bytes, 40},
    {0, "forward-lonely-ones", &Reached::replied, 20},
    {0, "forward-deaf-ones", &Reached::connections, 2},
    {0, "forward-long-ids", &Reached::refused, 255},
    {0, "forward-reset", &Reached::connections, 2},
    {1, "exec", &Reached::messages, 3},
    {1, "exec", &Reached::closes, 1},
    {1, "exec-base64", &Reached::messages, 2},
    {1, "exec-long-header", &Reached::processes, 1},
    {1, "exec-no-program", &Reached::messages, 2},
    {1, "exec-pings", &Reached::pongs, 100},
    {1, "exec-client-closes", &Reached::closes, 1},
    {1, "exec-output-waits", &Reached::messages, 4},
    {1, "exec-reserved", &Reached::closes, 1},
    {1, "attach", &Reached::messages, 3},
    {1, "forward", &Reached::connections, 2},
    {1, "forward-base64", &Reached::messages, 7},
    {1, "tunnel", &Reached::bytes, 4096},
    {1, "tunnel-refused", &Reached::refused, 1},
};

TEST(SessionCorpus, ReachesTheStatesItIsNamedFor) {
  std::map<std::string, Reached> reached[std::size(kTargets)];
  for (std::size_t i = 0; i < std::size(kTargets); i++)
    for (const auto& seed : kTargets[i].seeds()) reached[i][seed.name] = kTargets[i].run(seed.input);
  for (const auto& want : kWants) {
    ASSERT_TRUE(reached[want.target].contains(want.seed)) << want.seed;
    EXPECT_GE(reached[want.target][want.seed].*want.what, want.least) << kTargets[want.target].name << " " << want.seed;
  }
}

TEST(SessionCorpus, ChangesOfItHarmNobody) {
  std::mt19937 random(1);
  for (const auto& target : kTargets) {
    std::vector<std::string> corpus;
    for (const auto& seed : target.seeds()) corpus.push_back(seed.input);
    for (const auto& input : corpus)
      for (int i = 0; i < 20; i++) target.run(mutate(input, corpus, random));
  }
}

}  // namespace
}  // namespace podshim::streaming::test
