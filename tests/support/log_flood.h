// log_flood: a program that writes numbered lines as fast as it is told, and how far it is. It runs in a container;
// a test follows it through a file that both have mapped.
//   log_flood DIR LINE RATE    DIR/progress: a Progress; LINE: mean length of a line; RATE: bytes a second, 0: no limit
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace podshim::test::flood {

struct Progress {
  std::atomic<std::uint64_t> lines;   // whose write(2) has returned
  std::atomic<std::uint64_t> bytes;   // of them
  std::atomic<std::uint64_t> max_ns;  // the longest write(2)
  std::atomic<std::uint64_t> slow;    // writes of more than 100 ms
  std::atomic<std::uint32_t> stop;    // set by the test: the program ends with code 0
};

inline constexpr std::size_t kNumber = 10;  // digits

// Line `number` without its newline: half to one and a half times the mean, its number first.
inline void make_line(std::uint64_t number, std::size_t mean, std::string* out) {
  out->assign(kNumber, '0');
  for (std::size_t i = kNumber, n = number; i > 0; i--, n /= 10) (*out)[i - 1] = static_cast<char>('0' + n % 10);
  const std::size_t length = mean / 2 + number * 7919 % (mean + 1);
  if (length > kNumber + 1) out->append(length - kNumber - 1, static_cast<char>('a' + number % 26));
}

}  // namespace podshim::test::flood
