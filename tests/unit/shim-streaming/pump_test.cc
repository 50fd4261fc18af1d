// A Reader alone, with what the kernel keeps of a process that has ended while somebody else holds its output.
#include "shim/streaming/pump.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>

namespace podshim::streaming::test {
namespace {

struct Output {
  Fd reader, writer;
};

Output terminal() {
  Output out{.reader = Fd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)), .writer = {}};
  ::unlockpt(out.reader.get());
  out.writer = Fd(::ioctl(out.reader.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  return out;
}

Output pipe() {
  int fds[2];
  return ::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? Output{Fd(fds[0]), Fd(fds[1])} : Output{};
}

// Bytes written until no more go in.
std::size_t fill(const Fd& writer) {
  const std::string piece(1000, 'x');
  std::size_t all = 0;
  for (ssize_t n; (n = ::write(writer.get(), piece.data(), piece.size())) > 0;) all += static_cast<std::size_t>(n);
  return all;
}

struct Read {
  std::size_t bytes = 0;
  std::optional<int> end;
};

// A client that takes nothing when the process ends, and everything later, with a pause after so many bytes.
Read read_what_waits(Output& out, std::size_t pause_after) {
  Read read;
  boost::asio::io_context io;
  std::shared_ptr<Reader> reader;
  std::size_t since = 0;
  const auto take = [&](std::string_view bytes) {
    read.bytes += bytes.size();
    if ((since += bytes.size()) < pause_after) return;
    since = 0;
    reader->set_reading(false);
    boost::asio::post(io, [&] { reader->set_reading(true); });
  };
  reader = std::make_shared<Reader>(io, std::move(out.reader), take, [&](int error) { read.end = error; });
  reader->set_reading(false);
  reader->only_what_waits();
  reader->set_reading(true);
  io.run_for(std::chrono::seconds(20));
  return read;
}

TEST(Reader, WhatWaitsIsReadToItsLastByte) {
  for (const std::size_t pause_after : {std::size_t{1}, std::size_t{5000}, SIZE_MAX}) {
    for (const auto& make : {terminal, pipe}) {
      SCOPED_TRACE(make == terminal ? "terminal" : "pipe");
      auto out = make();
      ASSERT_TRUE(out.reader && out.writer);
      const auto written = fill(out.writer);
      ASSERT_GT(written, 4095u) << "more than a terminal says it has";
      const auto read = read_what_waits(out, pause_after);
      EXPECT_EQ(read.bytes, written);
      EXPECT_EQ(read.end, 0) << "it ends, though the writer is there";
    }
  }
}

TEST(Reader, NothingThatWaitsIsTheEnd) {
  for (const auto& make : {terminal, pipe}) {
    auto out = make();
    const auto read = read_what_waits(out, SIZE_MAX);
    EXPECT_EQ(read.bytes, 0u);
    EXPECT_EQ(read.end, 0);
  }
}

}  // namespace
}  // namespace podshim::streaming::test
