// What a fuzzer would make of an input: one to four changes, with pieces of the others.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace podshim::streaming::test {

inline std::string mutate(std::string input, const std::vector<std::string>& corpus, std::mt19937& random) {
  for (unsigned n = 1 + random() % 4; n > 0 && !input.empty(); n--) {
    const auto at = random() % input.size();
    const auto& other = corpus[random() % corpus.size()];
    switch (random() % 3) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input.resize(at);
        break;
      default:
        input.insert(at, other, random() % other.size(), std::string::npos);
    }
  }
  return input;
}

}  // namespace podshim::streaming::test
