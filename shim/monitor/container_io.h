// ContainerIo: the monitor's ends of one container's stdio, and the log they flow into. The container never waits for
// the daemon or the disk: pipes are drained whatever becomes of the bytes.
//
// open() before the clone; given() closes the child's ends after it. A container may close its terminal and open
// /dev/console again later: that is no end of the terminal before drain() (the master's read gives EIO while no slave
// is open, pty_open() of the kernel ends that, and closing the master hangs the session up). drain() at the end of the
// main process takes what is there (bounded, so that a grandchild that goes on writing delays no exit); later output is
// still logged until the last writer is gone or the container is removed. What clients see (attach.h) was logged
// before.
#pragma once

#include <array>
#include <functional>
#include <string>

#include "shim/monitor/attach.h"
#include "shim/monitor/log_writer.h"
#include "shim/monitor/loop.h"
#include "shim/monitor/pty.h"

namespace podshim {

struct StdioConfig {
  std::string log_path;  // "" = output is discarded
  LogLimits limits;
  bool tty = false, stdin_open = false;
};

class ContainerIo {
 public:
  ContainerIo(Loop& loop, AttachOwner& owner, char* buffer, std::size_t buffer_size);
  ~ContainerIo();
  ContainerIo(const ContainerIo&) = delete;
  ContainerIo& operator=(const ContainerIo&) = delete;

  Result<> open(const StdioConfig& config);
  // The child's ends: fds of its 0, 1, 2 (-1 = /dev/null) and of its devpts instance.
  std::array<int, 3> child_stdio() const;
  int pts() const { return pty_.instance.get(); }
  void given();

  // A sink whose stream has ended ends at once.
  Result<> attach(AttachSinks sinks);
  // Another fd of the terminal's master, or of stdin's write end; empty: stdin was ended, or never open.
  Result<Fd> input() const;
  void close_stdin() { stdin_.reset(); }

  void drain();
  Result<> reopen_log() { return log_.reopen(); }
  bool logging() const { return streams_[0].fd || streams_[1].fd; }
  std::uint64_t dropped() const { return log_.dropped(); }
  std::function<void()> on_loss;  // dropped() has news, see LogWriter::take_news()

 private:
  struct Stream final : Watch {
    void ready(std::uint32_t events) override;
    ContainerIo* io = nullptr;
    LogStream which{};
    Fd fd;
    bool hung_up = false;  // a terminal without an open slave
  };

  Result<> open_pipes(bool stdin_open);
  Result<> listen(Stream& stream, Fd fd);
  std::size_t pump(Stream& stream, std::size_t limit);  // bytes taken; 0: none now, or the end (closed)
  void close(Stream& stream);

  Loop& loop_;
  char* buffer_;
  std::size_t buffer_size_;
  LogWriter log_;
  Attachments attached_;
  Stream streams_[2];
  Pty pty_;
  bool tty_ = false, main_ended_ = false;
  Fd stdin_;  // write end, held open so that the container's reads wait
  Fd child_in_, child_out_, child_err_;
};

}  // namespace podshim
