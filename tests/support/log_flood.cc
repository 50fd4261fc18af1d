#include "tests/support/log_flood.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

std::uint64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

bool write_all(const char* data, std::size_t size) {
  while (size > 0) {
    ssize_t n = ::write(1, data, size);
    if (n < 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace podshim::test;
  if (argc != 4) return 2;
  const int fd = ::open((std::string(argv[1]) + "/progress").c_str(), O_RDWR | O_CLOEXEC);
  void* at = fd < 0 ? MAP_FAILED : ::mmap(nullptr, sizeof(flood::Progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return 3;
  auto& progress = *static_cast<flood::Progress*>(at);
  const auto mean = std::strtoull(argv[2], nullptr, 10), rate = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t begin = now_ns();
  std::string line;
  std::uint64_t sent = 0;
  for (std::uint64_t number = 0; progress.stop == 0; number++) {
    flood::make_line(number, mean, &line);
    line += '\n';
    const std::uint64_t before = now_ns();
    if (!write_all(line.data(), line.size())) return 4;
    const std::uint64_t after = now_ns(), took = after - before;
    if (took > progress.max_ns) progress.max_ns = took;
    if (took > 100'000'000) progress.slow++;
    sent += line.size();
    progress.bytes = sent;
    progress.lines = number + 1;
    if (rate == 0) continue;
    // In debt to the clock nothing is made up for: a rate is a rate.
    const std::uint64_t due =
        begin + static_cast<std::uint64_t>(static_cast<double>(sent) * 1e9 / static_cast<double>(rate));
    if (due > after + 500'000) {
      const timespec pause{.tv_sec = 0,
                           .tv_nsec = static_cast<long>(due - after < 900'000'000 ? due - after : 900'000'000)};
      ::nanosleep(&pause, nullptr);
    }
  }
  return 0;
}
