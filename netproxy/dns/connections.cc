#include "netproxy/dns/connections.h"

#include <sys/socket.h>

#include <algorithm>

#include "common/sys/retry.h"
#include "netproxy/dns/ldns.h"
#include "netproxy/dns/socket.h"

namespace podshim::netproxy::dns {
namespace {

constexpr std::size_t kKeepOut = 4096;  // a larger buffer is given back after the answer

}  // namespace

Connections::Connections(EpollSet& epoll, std::chrono::milliseconds idle, Ask ask)
    : epoll_(epoll), idle_(idle), ask_(std::move(ask)) {}

Connections::Connection* Connections::slot_for_new() {
  for (auto& c : all_)
    if (!c->fd) return c.get();
  if (all_.size() < kMaxConnections) {
    all_.push_back(std::make_unique<Connection>());
    all_.back()->slot = static_cast<std::uint32_t>(all_.size() - 1);
    return all_.back().get();
  }
  return close_oldest();
}

Connections::Connection* Connections::close_oldest() {
  Connection* oldest = nullptr;
  for (auto& c : all_)
    if (c->fd && (oldest == nullptr || c->turn < oldest->turn)) oldest = c.get();
  if (oldest != nullptr) close(*oldest);
  return oldest;
}

void Connections::close(Connection& c) {
  c.fd.reset();
  c.generation++;
  c.waiting = false;
  c.in_size = c.out_done = 0;
  c.out.clear();
  if (c.out.capacity() > kKeepOut) std::vector<std::uint8_t>().swap(c.out);
}

void Connections::start_clock(Connection& c, Clock::time_point now) {
  c.deadline = now + idle_;
  c.turn = ++turns_;
  due_ = due_ ? std::min(*due_, c.deadline) : c.deadline;
}

void Connections::listen_for(Connection& c, std::uint32_t events) {
  epoll_.change(c.fd, events, {.kind = Tag::connection, .generation = c.generation, .slot = c.slot});
}

void Connections::accept_from(const Fd& listener, Clock::time_point now) {
  for (;;) {
    Fd fd(sys::retry([&] { return ::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }));
    // Out of descriptors the listener would wake us for ever: one of ours makes room. The limit is looked at before the
    // queue, which may be empty.
    if (!fd && (errno == EMFILE || errno == ENFILE) && readable(listener) && close_oldest() != nullptr) continue;
    if (!fd) return;
    accepted_++;
    auto& c = *slot_for_new();
    Tag tag{.kind = Tag::connection, .generation = c.generation, .slot = c.slot};
    if (!epoll_.add(fd, EPOLLIN, tag)) continue;
    c.fd = std::move(fd);
    start_clock(c, now);
  }
}

void Connections::on_event(Tag tag, std::uint32_t events) {
  if (tag.slot >= all_.size()) return;
  auto& c = *all_[tag.slot];
  if (!c.fd || (c.generation & 0xffffff) != tag.generation) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return close(c);
  if ((events & EPOLLOUT) != 0) return write(c);
  if ((events & EPOLLIN) != 0) read(c);
}

void Connections::read(Connection& c) {
  auto n =
      sys::retry([&] { return ::recv(c.fd.get(), c.in.data() + c.in_size, c.in.size() - c.in_size, MSG_DONTWAIT); });
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) return close(c);
  c.in_size += static_cast<std::size_t>(n);
  pump(c);
}

void Connections::pump(Connection& c) {
  if (c.pumping) return;
  c.pumping = true;
  auto generation = c.generation;
  bool silent = false;
  while (!c.waiting && c.out.empty()) {
    if (c.in_size < 2) break;
    std::size_t want = ldns_read_uint16(c.in.data());
    if (want > kMaxQuery) {  // nobody asks so much
      close(c);
      break;
    }
    if (c.in_size < 2 + want) break;
    std::array<std::uint8_t, kMaxQuery> question;
    std::copy_n(c.in.data() + 2, want, question.data());
    std::copy(c.in.data() + 2 + want, c.in.data() + c.in_size, c.in.data());
    c.in_size -= 2 + want;
    c.waiting = true;
    ask_({.tcp = true, .slot = c.slot, .generation = c.generation}, Bytes(question.data(), want));
    if (c.generation != generation) break;
    silent = c.waiting;
  }
  c.pumping = false;
  // While an answer is awaited nothing is read: the client's window is the bound. A closed connection is still told of.
  if (c.fd && silent) listen_for(c, 0);
}

void Connections::deliver(const Client& client, Bytes answer, Clock::time_point now) {
  if (client.slot >= all_.size()) return;
  auto& c = *all_[client.slot];
  if (!c.fd || c.generation != client.generation || !c.waiting) return;
  c.waiting = false;
  if (answer.empty()) return close(c);
  c.out.resize(2 + answer.size());
  ldns_write_uint16(c.out.data(), static_cast<std::uint16_t>(answer.size()));
  std::ranges::copy(answer, c.out.begin() + 2);
  start_clock(c, now);
  write(c);
}

void Connections::write(Connection& c) {
  while (c.out_done < c.out.size()) {
    auto n = sys::retry(
        [&] { return ::send(c.fd.get(), c.out.data() + c.out_done, c.out.size() - c.out_done, MSG_NOSIGNAL); });
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return listen_for(c, EPOLLOUT);
    if (n < 0) return close(c);
    c.out_done += static_cast<std::size_t>(n);
  }
  c.out.clear();
  c.out_done = 0;
  if (c.out.capacity() > kKeepOut) std::vector<std::uint8_t>().swap(c.out);
  if (c.pumping) return;  // answered at once: the loop there goes on
  listen_for(c, EPOLLIN);
  pump(c);
}

void Connections::expire(Clock::time_point now) {
  if (!due_ || now < *due_) return;
  due_.reset();
  for (auto& c : all_) {
    // An answer that is awaited comes, be it SERVFAIL; then the clock starts anew.
    if (!c->fd || c->waiting) continue;
    if (c->deadline <= now) {
      close(*c);
    } else {
      due_ = due_ ? std::min(*due_, c->deadline) : c->deadline;
    }
  }
}

}  // namespace podshim::netproxy::dns
