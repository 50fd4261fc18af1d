#include "shim/streaming/pump.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/sys/retry.h"
#include "common/sys/terminal.h"
#include "shim/streaming/limits.h"

namespace podshim::streaming {
namespace {

using Descriptor = boost::asio::posix::stream_descriptor;

constexpr std::size_t kPiece = 32 << 10;
constexpr int kPiecesAtOnce = 4;  // then the other sessions have their turn

// The loop is one thread: everybody reads into the same buffer.
char* scratch() {
  thread_local std::array<char, kPiece> buffer;
  return buffer.data();
}

void shut(Descriptor& fd) {
  boost::system::error_code ignored;
  if (fd.is_open()) fd.close(ignored);
}

}  // namespace

Reader::Reader(boost::asio::io_context& io, Fd fd, OnBytes on_bytes, OnEnd on_end)
    : fd_(io, fd.release()), on_bytes_(std::move(on_bytes)), on_end_(std::move(on_end)) {}

void Reader::set_reading(bool on) {
  wanted_ = on;
  wait();
}

void Reader::close() {
  shut(fd_);
  on_bytes_ = nullptr;
  on_end_ = nullptr;
}

void Reader::only_what_waits() {
  if (!fd_.is_open()) return;
  int waiting = 0;
  ::ioctl(fd_.native_handle(), FIONREAD, &waiting);
  const bool terminal = ::isatty(fd_.native_handle()) != 0;  // it may say 0, and have more on its way to the reader
  if (waiting <= 0 && !terminal) return end(0);
  allowance_ = static_cast<std::size_t>(std::max(waiting, 0)) + (terminal ? sys::kTerminalBuffer : 0);
  fd_.cancel();  // who waits for more is told now
}

void Reader::wait() {
  if (!wanted_ || waiting_ || !fd_.is_open()) return;
  waiting_ = true;
  const auto turn = [self = shared_from_this()](const boost::system::error_code& error) {
    self->waiting_ = false;
    if (self->wanted_ && (!error || self->allowance_ != kNoLimit)) self->ready();
  };
  if (allowance_ == kNoLimit) return fd_.async_wait(Descriptor::wait_read, turn);
  boost::asio::post(fd_.get_executor(), [turn] { turn({}); });  // nothing is waited for any more
}

void Reader::ready() {
  for (int i = 0; i < kPiecesAtOnce && wanted_ && fd_.is_open(); i++) {
    const ssize_t n = sys::read_to_hangup([&] {
      return sys::retry([&] { return ::read(fd_.native_handle(), scratch(), std::min(kPiece, allowance_)); });
    });
    if (n < 0 && errno == EAGAIN && allowance_ == kNoLimit) break;
    if (n <= 0) return end(n == 0 || errno == EAGAIN ? 0 : errno);
    allowance_ -= allowance_ == kNoLimit ? 0 : static_cast<std::size_t>(n);
    const auto sink = on_bytes_;  // closing within the call clears ours
    sink({scratch(), static_cast<std::size_t>(n)});
    if (allowance_ == 0 && fd_.is_open()) return end(0);
  }
  wait();
}

void Reader::end(int error) {
  const auto told = std::exchange(on_end_, nullptr);
  close();
  if (told) told(error);
}

Writer::Writer(boost::asio::io_context& io, Fd fd, std::function<void()> on_room, std::function<void(int)> on_broken)
    : fd_(io, fd.release()), on_room_(std::move(on_room)), on_broken_(std::move(on_broken)) {}

void Writer::write(std::string_view bytes) {
  if (!fd_.is_open() || flushed_) return;
  buffer_ += bytes;
  was_high_ = was_high_ || buffered() > kInputHigh;
  if (!waiting_) flush();
}

void Writer::end(std::function<void()> flushed) {
  if (!fd_.is_open()) return flushed();
  flushed_ = std::move(flushed);
  if (!waiting_) flush();
}

void Writer::close() {
  shut(fd_);
  buffer_ = {};
  done_ = 0;
  on_room_ = flushed_ = nullptr;
  on_broken_ = nullptr;
}

void Writer::flush() {
  const auto self = shared_from_this();  // the owner may let go of us in what he is told
  while (buffered() != 0) {
    const ssize_t n = ::write(fd_.native_handle(), buffer_.data() + done_, buffered());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return broken(errno);
    done_ += static_cast<std::size_t>(n);
  }
  if (done_ == buffer_.size()) {
    buffer_.clear();
    if (buffer_.capacity() > kInputLow) buffer_.shrink_to_fit();
    done_ = 0;
  } else if (done_ > kInputLow) {
    buffer_.erase(0, done_);
    done_ = 0;
  }
  const bool empty = buffered() == 0;
  if (!empty) wait();
  // Also when it is the end that was waited for: who stopped reading because of us hears of room in no other way.
  const bool room = (was_high_ && buffered() < kInputLow) || (behind_ && empty);
  was_high_ = was_high_ && !room;
  behind_ = !empty;
  if (room && on_room_) on_room_();
  if (!empty) return;
  if (const auto told = std::exchange(flushed_, nullptr)) told();
}

void Writer::broken(int error) {
  shut(fd_);
  buffer_ = {};
  done_ = 0;
  // One after the other: whoever is told may close us, and hears nothing more then.
  if (const auto told = std::exchange(on_broken_, nullptr)) told(error);
  if (const auto told = std::exchange(on_room_, nullptr)) told();
  if (const auto told = std::exchange(flushed_, nullptr)) told();
}

void Writer::wait() {
  waiting_ = true;
  fd_.async_wait(Descriptor::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    self->waiting_ = false;
    if (!error && self->fd_.is_open()) self->flush();
  });
}

}  // namespace podshim::streaming
