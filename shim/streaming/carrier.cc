#include "shim/streaming/carrier.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace podshim::streaming {
namespace {

constexpr std::size_t kQueueStopsReading = 1 << 20;
constexpr std::size_t kMergeBelow = 32 << 10;
constexpr std::chrono::milliseconds kTick{1000};

// The peer has ended or broken the connection, also when nobody reads from it.
bool peer_left(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != TCP_ESTABLISHED;
}

// Bytes in the kernel that the peer has not taken yet.
int unsent(int fd) {
  int n = 0;
  return ::ioctl(fd, TIOCOUTQ, &n) == 0 ? n : 0;
}

}  // namespace

Carrier::Carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits)
    : socket_(std::move(socket)), limits_(limits), tick_(io), idle_(io) {}

void Carrier::start(CarrierHandler* handler) {
  handler_ = handler;
  last_activity_ = last_progress_ = Clock::now();
  arm_idle();
  open();
}

void Carrier::opened() {
  if (gone_) return;
  open_ = true;
  read_if_wanted();
  write_if_any();
}

void Carrier::send(std::string bytes) {
  if (gone_ || finishing_) return;
  queued_ += bytes.size();
  was_high_ = was_high_ || queued_ >= kOutputHigh;
  if (may_merge() && queue_.size() > in_flight_ && queue_.back().size() + bytes.size() < kMergeBelow) {
    queue_.back() += bytes;
  } else {
    queue_.push_back(std::move(bytes));
  }
  write_if_any();
}

// No activity: a session whose input waits forever ends like one in which nobody says a word.
void Carrier::send_heartbeat(std::string bytes) {
  if (!queue_.empty() || finishing_) return;
  beating_ = true;
  send(std::move(bytes));
}

void Carrier::set_reading(bool on) {
  wanted_ = on;
  read_if_wanted();
  if (!on) arm_tick();
}

void Carrier::expect_progress() {
  expecting_ = true;
  last_progress_ = Clock::now();
  arm_tick();
}

void Carrier::finish() {
  if (gone_ || finishing_) return;
  finishing_ = true;
  expect_progress();
  read_if_wanted();
  write_if_any();
}

void Carrier::abort() {
  handler_ = nullptr;
  if (gone_) return;
  gone_ = true;
  tick_.cancel();
  idle_.cancel();
  socket_->close();
  let_go();
}

void Carrier::lost(const std::string& why) {
  if (gone_) return;
  CarrierHandler* const handler = handler_;
  abort();
  if (handler != nullptr) handler->on_gone(said_goodbye_ ? std::string() : why);
}

void Carrier::read_if_wanted() {
  const bool wanted = finishing_ || (wanted_ && queued_ < kQueueStopsReading);
  if (!wanted && !gone_) arm_tick();
  if (!wanted || reading_ || gone_ || !open_) return;
  reading_ = true;
  read_more();
}

void Carrier::got(std::string_view bytes, bool last) {
  if (gone_) return;
  last_activity_ = Clock::now();
  if (!finishing_ && handler_ != nullptr) handler_->on_bytes(bytes, last);
  reading_ = false;  // not before: the next read goes into the same buffer
  read_if_wanted();
}

void Carrier::write_if_any() {
  if (writing_ || gone_ || !open_) return;
  if (!queue_.empty()) {
    writing_ = true;
    write_front();
  } else if (finishing_ && !said_goodbye_) {
    said_goodbye_ = true;
    say_goodbye();
  }
}

void Carrier::wrote(std::size_t bytes) {
  writing_ = false;
  in_flight_ = 0;
  if (gone_) return;
  if (!std::exchange(beating_, false)) last_activity_ = Clock::now();
  sent_ += bytes;
  queued_ -= std::min(bytes, queued_);
  for (front_written_ += bytes; !queue_.empty() && front_written_ >= queue_.front().size(); queue_.pop_front())
    front_written_ -= queue_.front().size();
  write_if_any();
  read_if_wanted();
  if (was_high_ && queued_ < kOutputLow) {
    was_high_ = false;
    if (handler_ != nullptr) handler_->on_drained();
  }
}

void Carrier::arm_tick() {
  if (ticking_ || gone_) return;
  ticking_ = true;
  const auto often = std::min(limits_.stall / 4, limits_.heartbeat);
  tick_.after(std::clamp<Limits::Duration>(often, Limits::Duration(10), kTick), [this] { tick(); });
}

void Carrier::tick() {
  ticking_ = false;
  if (gone_) return;
  const auto self = shared_from_this();
  const auto now = Clock::now();
  if (!reading_ && open_) {
    if (peer_left(socket_->native())) return lost("the client went away");
    if (now - last_heartbeat_ >= limits_.heartbeat) {
      last_heartbeat_ = now;
      heartbeat();
    }
  }
  if (expecting_) {
    const int kernel = unsent(socket_->native());
    if (sent_ != sent_seen_ || kernel < unsent_seen_ || (queued_ == 0 && kernel == 0 && !finishing_))
      last_progress_ = now;
    sent_seen_ = sent_;
    unsent_seen_ = kernel;
    if (now - last_progress_ >= limits_.stall) return lost("the client takes nothing");
  }
  if (expecting_ || !reading_) arm_tick();
}

void Carrier::arm_idle() {
  const auto rest = last_activity_ + limits_.idle - Clock::now();
  if (rest <= Clock::duration::zero()) {
    const auto self = shared_from_this();
    return lost("idle for too long");
  }
  idle_.after(std::chrono::ceil<std::chrono::milliseconds>(rest), [this] { arm_idle(); });
}

}  // namespace podshim::streaming
