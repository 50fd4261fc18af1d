// The end of a terminal's output, read by its master: EIO once the last slave is closed. Linux can say so too early:
// n_tty_read() looks for input first and at the closed end second, and who writes and goes in between has both done.
// (drivers/tty/n_tty.c, 6.1, preemptible: 20 of 16,000 processes lost their last line to their reader, whose next read
// had it each time.) What was written before the close is there for every read after it, so the second EIO is the end.
#pragma once

#include <cerrno>
#include <cstddef>

namespace podshim::sys {

// Bytes; more than the kernel keeps of a terminal's output. FIONREAD tells of what the line discipline has taken alone
// (4,095), and 22,000 can wait.
inline constexpr std::size_t kTerminalBuffer = 256 << 10;

// As `read`, a call like read(2), but EIO comes only from a terminal whose output is read to its end.
template <typename Read>
auto read_to_hangup(Read read) {
  auto n = read();
  if (n == -1 && errno == EIO) n = read();
  return n;
}

}  // namespace podshim::sys
