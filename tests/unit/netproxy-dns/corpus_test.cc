// The fuzz targets over their corpus and changes of it, also where there is no clang.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#define LLVMFuzzerTestOneInput fuzz_query
#include "tests/fuzz/netproxy-dns/fuzz_dns_query.cc"
#undef LLVMFuzzerTestOneInput
#define check check_response
#define LLVMFuzzerTestOneInput fuzz_response
#include "tests/fuzz/netproxy-dns/fuzz_dns_response.cc"
#undef LLVMFuzzerTestOneInput
#undef check

namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);
using Wire = std::vector<std::uint8_t>;

void run(Target target, const std::string& name, int changes_each) {
  std::mt19937 random(1);
  std::vector<Wire> corpus;
  for (const auto& file : std::filesystem::directory_iterator(std::string(PODSHIM_SOURCE_DIR) +
                                                              "/tests/fuzz/netproxy-dns/corpus/" + name)) {
    std::ifstream in(file.path(), std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  ASSERT_GE(corpus.size(), 5U);
  for (const auto& wire : corpus) {
    target(wire.data(), wire.size());
    for (int i = 0; i < changes_each; i++) {
      auto w = wire;
      for (unsigned n = 1 + random() % 4; n > 0 && !w.empty(); n--) {
        auto at = random() % w.size();
        switch (random() % 4) {
          case 0:
            w[at] = static_cast<std::uint8_t>(random());
            break;
          case 1:
            w[at] = static_cast<std::uint8_t>(w[at] ^ 1U << random() % 8);
            break;
          case 2:
            w.resize(at);
            break;
          default:  // a piece of another one
            const auto& other = corpus[random() % corpus.size()];
            w.insert(w.begin() + static_cast<long>(at), other.begin() + static_cast<long>(random() % other.size()),
                     other.end());
        }
      }
      target(w.data(), w.size());
    }
  }
}

TEST(DnsCorpus, Questions) { run(fuzz_query, "fuzz_dns_query", 2000); }
TEST(DnsCorpus, Responses) { run(fuzz_response, "fuzz_dns_response", 2000); }

}  // namespace
