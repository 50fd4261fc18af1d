// The fuzz target over its corpus and changes of it, also where there is no clang; and what the corpus reaches.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>

#define LLVMFuzzerTestOneInput fuzz_frames
#include "tests/fuzz/shim-streaming/frames_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#include "tests/fuzz/shim-streaming/seeds.h"
#include "tests/unit/shim-streaming/mutation.h"

namespace podshim::streaming::test {
namespace {

namespace fs = std::filesystem;
const fs::path kCorpus = PODSHIM_SOURCE_DIR "/tests/fuzz/shim-streaming/corpus/fuzz_streaming_frames";

std::map<std::string, std::string> read_corpus() {
  std::map<std::string, std::string> out;
  for (const auto& file : fs::directory_iterator(kCorpus)) {
    std::ifstream in(file.path(), std::ios::binary);
    out[file.path().filename()] = {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  return out;
}

// Which frames came whole out of the decoder.
class Seen final : public spdy::FrameSink {
 public:
  std::set<std::string> what;

 private:
  Result<> on_syn_stream(std::uint32_t, const spdy::Headers& headers, bool fin) override {
    if (!headers.empty()) what.insert(fin ? "SYN_STREAM, FIN" : "SYN_STREAM");
    return {};
  }
  Result<> on_syn_reply(std::uint32_t, bool) override { return note("SYN_REPLY"); }
  Result<> on_data(std::uint32_t, std::string_view) override { return note("data"); }
  Result<> on_fin(std::uint32_t) override { return note("FIN"); }
  Result<> on_reset(std::uint32_t, std::uint32_t) override { return note("RST_STREAM"); }
  Result<> on_ping(std::uint32_t) override { return note("PING"); }
  Result<> on_goaway() override { return note("GOAWAY"); }
  Result<> note(const char* frame) {
    what.insert(frame);
    return {};
  }
};

TEST(Corpus, IsWhatTheSeedsSay) {
  std::set<std::string> names;
  for (const auto& seed : seeds()) {
    EXPECT_TRUE(names.insert(seed.name).second) << seed.name;
    if (std::getenv("PODSHIM_UPDATE_GOLDEN") == nullptr) continue;
    fs::create_directories(kCorpus);
    std::ofstream(kCorpus / seed.name, std::ios::binary) << seed.input;
  }
  // Not their bytes: another zlib deflates otherwise.
  for (const auto& [name, input] : read_corpus()) EXPECT_EQ(names.erase(name), 1U) << name << " has no seed";
  EXPECT_EQ(names, std::set<std::string>{}) << "PODSHIM_UPDATE_GOLDEN=1 writes them";
}

// What the decoder says to each mistake.
const std::map<std::string, const char*> kRefusals = {
    {"bad-version", "version 2"},
    {"bad-length", "control frame of 131072 bytes"},
    {"bad-rst-stream", "RST_STREAM of 4 bytes"},
    {"bad-ping", "PING of 8 bytes"},
    {"bad-fixed-part", "is shorter than its fixed part"},
    {"bad-stream-0", "opens stream 0"},
    {"bad-data-0", "data for stream 0"},
    {"bad-block-cut", "header block: "},
    {"bad-block-zlib", "inflate header block: "},
    {"bad-block-adler", "inflate header block: "},
    {"bad-block-large", "is larger than"},
    {"bad-block-twice", "has a twice"},
    {"bad-block-no-name", "has an empty name"},
    {"bad-block-many", "257 headers are too many"},
};

TEST(Corpus, ReachesEveryFrameAndEveryRefusal) {
  Seen seen;
  std::set<std::uint16_t> types;
  for (const auto& [name, input] : read_corpus()) {
    const auto bytes = std::string_view(input).substr(1);
    spdy::FrameDecoder decoder(seen);
    const auto fed = decoder.feed(bytes);
    if (name.starts_with("spdy-")) {
      EXPECT_TRUE(fed) << name << ": " << fed.error().text();
      if (bytes[0] < 0) types.insert(static_cast<std::uint16_t>(bytes[3]));
    } else if (name.starts_with("bad-")) {
      ASSERT_FALSE(fed) << name;
      EXPECT_NE(fed.error().text().find(kRefusals.at(name)), std::string::npos) << name << ": " << fed.error().text();
    } else if (name.starts_with("http-")) {
      const bool refused =
          std::set<std::string>{"http-body", "http-chunked", "http-half", "http-garbage"}.contains(name);
      EXPECT_EQ(parse_upgrade(bytes).has_value(), !refused) << name;
    }
  }
  EXPECT_EQ(types, (std::set<std::uint16_t>{1, 2, 3, 4, 6, 7, 8, 9, 42}));
  EXPECT_EQ(seen.what, (std::set<std::string>{"SYN_STREAM", "SYN_STREAM, FIN", "SYN_REPLY", "data", "FIN", "RST_STREAM",
                                              "PING", "GOAWAY"}));
}

TEST(Corpus, ChangesOfItHarmNobody) {
  std::mt19937 random(1);
  std::vector<std::string> corpus;
  for (const auto& [name, input] : read_corpus()) corpus.push_back(input);
  const auto run = [](const std::string& input) {
    fuzz_frames(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  };
  for (const auto& input : corpus) {
    run(input);
    for (int i = 0; i < 300; i++) run(mutate(input, corpus, random));
  }
}

}  // namespace
}  // namespace podshim::streaming::test
