#include "netproxy/dns/forwarder.h"

#include <sys/random.h>

#include "common/log.h"
#include "common/sys/retry.h"
#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

constexpr int kTries = 3;

// Another upstream may know what this one could not say.
bool helps_nobody(std::uint8_t code) {
  return code == LDNS_RCODE_SERVFAIL || code == LDNS_RCODE_REFUSED || code == LDNS_RCODE_NOTIMPL;
}

}  // namespace

Forwarder::Forwarder(EpollSet& epoll, Upstreams upstreams, std::chrono::milliseconds timeout, Deliver deliver)
    : epoll_(epoll),
      upstreams_(std::move(upstreams)),
      per_try_(timeout / kTries),
      deliver_(std::move(deliver)),
      in_(kMaxTcp),
      out_(kMaxTcp) {}

std::uint16_t Forwarder::random_id() {
  if (ids_left_ == 0) {
    auto n = sys::retry([&] { return ::getrandom(ids_.data(), sizeof ids_, 0); });
    ids_left_ = n > 0 ? static_cast<std::size_t>(n) / sizeof ids_[0] : 0;
  }
  return ids_left_ == 0 ? 0 : ids_[--ids_left_];
}

Forwarder::Exchange* Forwarder::open(const Client& client, Bytes wire) {
  if (used_ >= kMaxExchanges || wire.size() > kMaxQuery) {
    counters_.refused_full++;
    fail_with(client, wire);
    return nullptr;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(exchanges_.size()));
    exchanges_.emplace_back().slot = free_.back();
  }
  Exchange& e = exchanges_[free_.back()];
  free_.pop_back();
  used_++;
  e.used = true;
  e.our_edns = false;
  e.client = client;
  e.upstream = {};
  e.tries = 0;
  std::memcpy(e.asked.data(), wire.data(), wire.size());
  e.asked_size = wire.size();
  return &e;
}

void Forwarder::forward(const Client& client, Bytes wire, Clock::time_point now) {
  auto* e = open(client, wire);
  if (e == nullptr) return;
  std::memcpy(e->sent.data() + 2, wire.data(), wire.size());
  e->sent_size = wire.size();
  ldns_write_uint16(e->sent.data(), static_cast<std::uint16_t>(e->sent_size));
  begin(*e, now);
}

void Forwarder::chase(const Client& client, Bytes wire, Bytes partial, std::uint16_t answers, Ref target,
                      Clock::time_point now) {
  auto* e = open(client, wire);
  if (e == nullptr) return;
  e->partial.assign(partial.begin(), partial.end());
  e->answers = answers;
  e->target = target;
  write_query(*e, true);
  begin(*e, now);
}

void Forwarder::write_query(Exchange& e, bool edns) {
  Query query;
  parse_query(e.question(), query);
  Name name;
  name.read(Bytes(e.partial).subspan(e.target));
  e.our_edns = edns;
  e.sent_size = make_query(name.wire(), query.type, edns, query.checking_disabled, std::span(e.sent).subspan(2));
  ldns_write_uint16(e.sent.data(), static_cast<std::uint16_t>(e.sent_size));
}

void Forwarder::begin(Exchange& e, Clock::time_point now) {
  counters_.forwarded++;
  if (!start_try(e, now)) give_up_try(e, now);
}

// False: it failed at once.
bool Forwarder::start_try(Exchange& e, Clock::time_point now) {
  auto upstream = upstreams_.choose(now, e.tries > 0 ? &e.upstream : nullptr);
  e.tries++;
  if (!upstream) {
    e.tries = kTries;
    return false;
  }
  e.upstream = *upstream;
  return ask(e, now);
}

// Its upstream. False: it failed at once.
bool Forwarder::ask(Exchange& e, Clock::time_point now) {
  e.due = now + per_try_;
  due_ = due_ ? std::min(*due_, e.due) : e.due;
  ldns_write_uint16(e.sent.data() + 2, random_id());
  bool tcp = e.client.tcp;
  auto fd = connect_to(e.upstream, tcp);
  if (!fd) return false;
  e.fd = *std::move(fd);
  e.generation++;
  Tag tag{.kind = Tag::exchange, .generation = e.generation, .slot = e.slot};
  e.sent_tcp = false;
  e.stream.clear();
  if (!tcp && ::send(e.fd.get(), e.sent.data() + 2, e.sent_size, MSG_NOSIGNAL) < 0) return false;
  return epoll_.add(e.fd, tcp ? EPOLLOUT : EPOLLIN, tag).has_value();
}

void Forwarder::give_up_try(Exchange& e, Clock::time_point now, bool ill) {
  for (;;) {
    e.fd.reset();
    if (ill) upstreams_.failed(e.upstream, now);  // nobody yet: not in the list
    ill = true;
    if (e.tries >= kTries) break;
    if (start_try(e, now)) return;
  }
  counters_.failed++;
  Query query;
  parse_query(e.question(), query);
  finish(e, Bytes(out_.data(), answer_code(query, LDNS_RCODE_SERVFAIL, out_)));
}

void Forwarder::on_event(Tag tag, std::uint32_t events, Clock::time_point now) {
  if (tag.slot >= exchanges_.size()) return;
  auto& e = exchanges_[tag.slot];
  if (!e.used || (e.generation & 0xffffff) != tag.generation) return;
  e.client.tcp ? on_stream(e, events, now) : on_datagram(e, now);
}

void Forwarder::on_datagram(Exchange& e, Clock::time_point now) {
  for (;;) {
    auto n = sys::retry([&] { return ::recv(e.fd.get(), in_.data(), in_.size(), MSG_DONTWAIT); });
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return give_up_try(e, now);  // ECONNREFUSED: nobody is there
    Bytes response(in_.data(), static_cast<std::size_t>(n));
    if (answers_to(response, e.query())) return on_response(e, response, now);
  }
}

void Forwarder::on_stream(Exchange& e, std::uint32_t events, Clock::time_point now) {
  if (!e.sent_tcp) {
    std::size_t size = 2 + e.sent_size;
    // A fresh connection takes 514 bytes at once, or it is of no use.
    auto n = (events & (EPOLLERR | EPOLLHUP)) != 0 ? -1 : ::send(e.fd.get(), e.sent.data(), size, MSG_NOSIGNAL);
    if (n != static_cast<ssize_t>(size)) return give_up_try(e, now);
    e.sent_tcp = true;
    epoll_.change(e.fd, EPOLLIN, {.kind = Tag::exchange, .generation = e.generation, .slot = e.slot});
    return;
  }
  auto n = sys::retry([&] { return ::recv(e.fd.get(), in_.data(), in_.size(), MSG_DONTWAIT); });
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) return give_up_try(e, now);
  e.stream.insert(e.stream.end(), in_.begin(), in_.begin() + n);
  if (e.stream.size() < 2) return;
  std::size_t want = ldns_read_uint16(e.stream.data());
  if (e.stream.size() < 2 + want) return;
  Bytes response(e.stream.data() + 2, want);
  answers_to(response, e.query()) ? on_response(e, response, now) : give_up_try(e, now);
}

void Forwarder::on_response(Exchange& e, Bytes response, Clock::time_point now) {
  if (code_of(response) == LDNS_RCODE_FORMERR && e.our_edns) {
    // The same upstream, in the same try: it did answer, and it is this one that knows no EDNS.
    write_query(e, false);
    if (!ask(e, now)) give_up_try(e, now);
    return;
  }
  if (helps_nobody(code_of(response)) && e.tries < kTries && upstreams_.size() > static_cast<std::size_t>(e.tries))
    return give_up_try(e, now, false);
  upstreams_.answered(e.upstream);
  Query query;
  parse_query(e.question(), query);
  std::size_t size = 0;
  if (e.partial.empty()) {
    size = relay(response, query, reply_limit(query, e.client.tcp, kMostUdp), out_);
  } else {
    size = join(e.partial, e.answers, response, query, reply_limit(query, e.client.tcp), out_);
  }
  finish(e, Bytes(out_.data(), size));
}

void Forwarder::finish(Exchange& e, Bytes answer) {
  // The slot is free before the answer goes out: a connection may ask its next question at once.
  Client client = e.client;
  e.used = false;
  e.generation++;
  e.fd.reset();
  e.partial.clear();
  if (e.stream.capacity() > kMostUdp) std::vector<std::uint8_t>().swap(e.stream);
  free_.push_back(e.slot);
  used_--;
  deliver_(client, answer);
}

void Forwarder::fail_with(const Client& client, Bytes wire) {
  Query query;
  parse_query(wire, query);
  std::array<std::uint8_t, kPlainUdp> out;
  deliver_(client, Bytes(out.data(), answer_code(query, LDNS_RCODE_SERVFAIL, out)));
}

void Forwarder::expire(Clock::time_point now) {
  if (!due_ || now < *due_) return;
  due_.reset();
  // By index: an answer may let a connection ask again, which makes the list grow.
  for (std::size_t i = 0; i < exchanges_.size(); i++)
    if (exchanges_[i].used && exchanges_[i].due <= now) give_up_try(exchanges_[i], now);
  for (const auto& e : exchanges_)
    if (e.used) due_ = due_ ? std::min(*due_, e.due) : e.due;
}

}  // namespace podshim::netproxy::dns
