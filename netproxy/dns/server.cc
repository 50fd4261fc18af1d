#include "netproxy/dns/server.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "common/log.h"
#include "common/sys/retry.h"

namespace podshim::netproxy::dns {

// Memory of one batch, made once: nothing is allocated for a question by UDP.
struct Server::Datagrams {
  std::array<std::array<std::uint8_t, kMaxQuery + 1>, kBatch> in;  // one more: what is longer shows
  std::array<std::array<std::uint8_t, kOurUdp>, kBatch> out;
  std::array<SocketAddress, kBatch> peers;
  std::array<iovec, kBatch> in_parts, out_parts;
  std::array<mmsghdr, kBatch> received, sent;
};

Result<std::unique_ptr<Server>> Server::open(const ServerOptions& options) {
  auto facts = TRY(ZoneFacts::make(options.domain, options.addresses, options.pods, options.services));
  auto epoll = TRY(EpollSet::open());
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(Error::sys("eventfd", "dns"));
  std::unique_ptr<Server> out(new Server(options, std::move(facts), std::move(epoll), std::move(wake)));
  TRY(out->listen(options));
  return out;
}

Server::Server(const ServerOptions& options, ZoneFacts facts, EpollSet epoll, Fd wake)
    : facts_(std::move(facts)),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      datagrams_(std::make_unique<Datagrams>()),
      big_(kMaxTcp),
      forwarder_(epoll_,
                 Upstreams(options.upstream, options.resolv_conf,
                           [&] {
                             std::vector<DnsUpstream> self;
                             for (const auto& ip : options.addresses)
                               self.push_back({.address = ip, .port = options.port});
                             return self;
                           }()),
                 options.timeout, [this](const Client& c, Bytes answer) { deliver(c, answer); }),
      connections_(epoll_, options.idle, [this](const Client& c, Bytes wire) {
        counters_.tcp++;
        auto size = ask(c, wire, big_);
        if (size != 0) deliver(c, Bytes(big_.data(), size));
      }) {}

Server::~Server() { stop(); }

Result<> Server::listen(const ServerOptions& options) {
  TRY(epoll_.add(wake_, EPOLLIN, {.kind = Tag::wake}));
  for (const auto& address : options.addresses) {
    DnsUpstream at{.address = address, .port = options.port};
    auto slot = static_cast<std::uint32_t>(listeners_.size());
    auto& l = listeners_.emplace_back();
    l.udp = TRY(listen_udp(at));
    l.tcp = TRY(listen_tcp(at));
    TRY(epoll_.add(l.udp, EPOLLIN, {.kind = Tag::udp, .slot = slot}));
    TRY(epoll_.add(l.tcp, EPOLLIN, {.kind = Tag::tcp, .slot = slot}));
  }
  return {};
}

void Server::publish(std::vector<Change> changes) {
  if (changes.empty()) return;
  {
    std::lock_guard lock(mutex_);
    if (changes_.empty()) {
      changes_ = std::move(changes);
    } else {
      changes_.insert(changes_.end(), std::make_move_iterator(changes.begin()), std::make_move_iterator(changes.end()));
    }
  }
  ::eventfd_write(wake_.get(), 1);
}

void Server::run() {
  take_changes();  // what was published before: the first question sees it all
  thread_ = std::thread([this] { loop(); });
  ::pthread_setname_np(thread_.native_handle(), "dns");
}

void Server::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
  report();
}

void Server::report() const {
  const auto& f = forwarder_.counters();
  log::info("dns stopped", {{"udp", counters_.udp},
                            {"tcp", counters_.tcp},
                            {"dropped", counters_.dropped},
                            {"connections", connections_.accepted()},
                            {"forwarded", f.forwarded},
                            {"failed", f.failed},
                            {"refused_full", f.refused_full}});
}

int Server::wait_ms() const {
  auto due = forwarder_.due();
  if (auto other = connections_.due(); other && (!due || *other < *due)) due = other;
  if (!due) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(*due - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void Server::loop() {
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), wait_ms());
    now_ = Clock::now();
    for (int i = 0; i < n; i++) on_event(Tag::unpack(events[i].data.u64), events[i].events);
    forwarder_.expire(now_);
    connections_.expire(now_);
  }
}

void Server::on_event(Tag tag, std::uint32_t events) {
  switch (tag.kind) {
    case Tag::wake:
      return take_changes();
    case Tag::udp:
      return serve_datagrams(tag.slot);
    case Tag::tcp:
      return connections_.accept_from(listeners_[tag.slot].tcp, now_);
    case Tag::connection:
      return connections_.on_event(tag, events);
    case Tag::exchange:
      return forwarder_.on_event(tag, events, now_);
  }
}

void Server::take_changes() {
  eventfd_t count = 0;
  ::eventfd_read(wake_.get(), &count);
  std::vector<Change> changes;
  {
    std::lock_guard lock(mutex_);
    changes.swap(changes_);
  }
  for (auto& change : changes) zone_.apply(std::move(change));
}

std::size_t Server::ask(const Client& client, Bytes wire, std::span<std::uint8_t> out) {
  Query query;
  auto outcome = answer(wire, client.tcp, zone_, facts_, spin_++, out, query);
  switch (outcome.next) {
    case Next::reply:
      return outcome.size;
    case Next::forward:
      forwarder_.forward(client, wire, now_);
      return 0;
    case Next::chase:
      forwarder_.chase(client, wire, out.first(outcome.size), outcome.answers, outcome.target, now_);
      return 0;
    case Next::drop:
      counters_.dropped++;
      if (client.tcp) connections_.deliver(client, {}, now_);
      return 0;
  }
  return 0;
}

void Server::deliver(const Client& client, Bytes answer) {
  if (client.tcp) return connections_.deliver(client, answer, now_);
  // A full send buffer loses the answer, as the network might; the client asks again.
  sys::retry([&] {
    return ::sendto(listeners_[client.slot].udp.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                    client.peer.get(), client.peer.size);
  });
}

void Server::serve_datagrams(std::uint32_t slot) {
  auto& d = *datagrams_;
  int fd = listeners_[slot].udp.get();
  for (std::size_t i = 0; i < kBatch; i++) {
    d.peers[i].size = sizeof(sockaddr_storage);
    d.in_parts[i] = {.iov_base = d.in[i].data(), .iov_len = d.in[i].size()};
    d.received[i] = {};
    d.received[i].msg_hdr.msg_name = d.peers[i].get();
    d.received[i].msg_hdr.msg_namelen = d.peers[i].size;
    d.received[i].msg_hdr.msg_iov = &d.in_parts[i];
    d.received[i].msg_hdr.msg_iovlen = 1;
  }
  int got = sys::retry([&] { return ::recvmmsg(fd, d.received.data(), kBatch, MSG_DONTWAIT, nullptr); });
  std::size_t answers = 0;
  for (int i = 0; i < got; i++) {
    counters_.udp++;
    auto& peer = d.peers[i];
    peer.size = d.received[i].msg_hdr.msg_namelen;
    Client client{.slot = slot, .peer = peer};
    auto& out = d.out[answers];
    auto size = ask(client, Bytes(d.in[i].data(), d.received[i].msg_len), out);
    if (size == 0) continue;
    d.out_parts[answers] = {.iov_base = out.data(), .iov_len = size};
    auto& message = d.sent[answers] = {};
    message.msg_hdr.msg_name = peer.get();
    message.msg_hdr.msg_namelen = peer.size;
    message.msg_hdr.msg_iov = &d.out_parts[answers++];
    message.msg_hdr.msg_iovlen = 1;
  }
  for (std::size_t done = 0; done < answers;) {
    int n = sys::retry([&] {
      return ::sendmmsg(fd, d.sent.data() + done, static_cast<unsigned>(answers - done), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    done += n > 0 ? static_cast<std::size_t>(n) : 1;  // one that cannot be sent is passed over
  }
}

}  // namespace podshim::netproxy::dns
