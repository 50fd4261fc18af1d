// The server on loopback, with clients and an upstream that do what none should.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>

#include "netproxy/dns/ldns.h"
#include "netproxy/dns/server.h"
#include "tests/unit/netproxy-dns/dns_world.h"

namespace podshim::netproxy::dns::test {
namespace {

using Wire = std::vector<std::uint8_t>;
using std::chrono::milliseconds;

const IpAddress kLoopback = IpAddress::v4(0x7f000001);

sockaddr_in loopback(int port) {
  return {
      .sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

Fd socket_of(int type, int timeout_ms = 20000) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  timeval t{.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  return fd;
}

void send_all(const Fd& fd, const Wire& w) { ::send(fd.get(), w.data(), w.size(), MSG_NOSIGNAL); }

// Empty: nothing came, or the connection was closed.
Wire receive(const Fd& fd, std::size_t most = 65535) {
  Wire out(most);
  auto n = ::recv(fd.get(), out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

Wire framed(const Wire& w) {
  Wire out(2 + w.size());
  out[0] = static_cast<std::uint8_t>(w.size() >> 8);
  out[1] = static_cast<std::uint8_t>(w.size());
  std::ranges::copy(w, out.begin() + 2);
  return out;
}

Wire receive_frame(const Fd& fd) {
  auto exactly = [&](std::size_t size) {
    Wire out;
    while (out.size() < size) {
      auto more = receive(fd, size - out.size());
      if (more.empty()) return Wire();
      out.insert(out.end(), more.begin(), more.end());
    }
    return out;
  };
  auto length = exactly(2);
  return length.empty() ? Wire() : exactly(static_cast<std::size_t>(length[0]) << 8 | length[1]);
}

const std::string kWeb = "web.default.svc.cluster.local.";
const std::string kWebAnswer = "NOERROR aa\nan web.default.svc.cluster.local. 5 IN A 10.43.0.1";

class DnsServer : public testing::Test {
 protected:
  void SetUp() override {
    upstream_ = socket_of(SOCK_DGRAM);
    upstreams_ = {{.address = kLoopback, .port = bind_somewhere(upstream_)}};
    start();
  }

  // Gives the port.
  static int bind_somewhere(const Fd& fd) {
    auto any = loopback(0);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    socklen_t size = sizeof any;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any), &size);
    return ntohs(any.sin_port);
  }

  void start(milliseconds timeout = milliseconds(600), milliseconds idle = milliseconds(300)) {
    server_.reset();
    std::mt19937 random(std::random_device{}());
    for (int tries = 0; tries < 50; tries++) {  // a port of both kinds that nobody has
      port_ = 20000 + static_cast<int>(random() % 12000);
      auto made = Server::open({.addresses = {kLoopback},
                                .port = port_,
                                .pods = {*Cidr::parse("10.42.0.0/16")},
                                .services = *Cidr::parse("10.43.0.0/16"),
                                .upstream = upstreams_,
                                .timeout = timeout,
                                .idle = idle});
      if (!made && made.error().is(EADDRINUSE)) continue;
      ASSERT_TRUE(made) << made.error().text();
      server_ = *std::move(made);
      break;
    }
    ASSERT_TRUE(server_);
    server_->publish({{.key = "default/web", .records = ServiceRecords{.addresses = {IpAddress::v4(0x0a2b0001)}}}});
    server_->run();
  }

  Fd client(int type, int timeout_ms = 20000) {
    auto fd = socket_of(type, timeout_ms);
    auto to = loopback(port_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  // The next query at the upstream, and where it came from; empty: none.
  Wire upstream_query(sockaddr_in* from) { return query_at(upstream_, from); }
  static Wire query_at(const Fd& upstream, sockaddr_in* from) {
    socklen_t size = sizeof *from;
    Wire query(512);
    const auto n = ::recvfrom(upstream.get(), query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(from), &size);
    query.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return query;
  }
  void answer_upstream(const Wire& answer, const sockaddr_in& to) { answer_from(upstream_, answer, to); }
  static void answer_from(const Fd& upstream, const Wire& answer, const sockaddr_in& to) {
    ::sendto(upstream.get(), answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  std::string ask(const Fd& udp, const std::string& name) {
    send_all(udp, query_for(name, "A"));
    auto got = receive(udp);
    return got.empty() ? "silence" : text_of(got);
  }

  // default/out is www.example.com, and the server knows it.
  void publish_external() {
    server_->publish({{.key = "default/out", .records = ServiceRecords{.external_name = *wire_name("www.example.com")}},
                      {.key = "default/seen", .records = ServiceRecords{.addresses = {IpAddress::v4(0x0a2b0002)}}}});
    auto udp = client(SOCK_DGRAM);
    std::string got;
    for (int i = 0; i < 500 && !got.starts_with("NOERROR"); i++) got = ask(udp, "seen.default.svc.cluster.local.");
    ASSERT_TRUE(got.starts_with("NOERROR")) << got;
  }

  Fd upstream_;
  std::vector<DnsUpstream> upstreams_;
  int port_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(DnsServer, ConnectionsAreAnsweredInOrderHoweverTheBytesCome) {
  start(milliseconds(600), milliseconds(60000));  // a slow machine may take its time between two bytes
  auto tcp = client(SOCK_STREAM);
  auto one = framed(query_for(kWeb, "A"));
  Wire many;
  for (int i = 0; i < 100; i++) {
    one[3] = static_cast<std::uint8_t>(i);
    many.insert(many.end(), one.begin(), one.end());
  }
  send_all(tcp, many);
  for (int i = 0; i < 100; i++) {
    auto got = receive_frame(tcp);
    ASSERT_FALSE(got.empty()) << i;
    EXPECT_EQ(got[1], i);
    EXPECT_EQ(text_of(got), kWebAnswer);
  }
  for (auto byte : framed(query_for(kWeb, "A"))) {
    send_all(tcp, {byte});
    ::usleep(500);
  }
  EXPECT_EQ(text_of(receive_frame(tcp)), kWebAnswer);
}

TEST_F(DnsServer, AConnectionWithoutAWholeQuestionIsClosed) {
  start(milliseconds(600), milliseconds(60000));
  auto liar = client(SOCK_STREAM), answer = client(SOCK_STREAM);
  auto begin = Clock::now();
  send_all(liar, {0xff, 0xff, 1, 2, 3});
  EXPECT_TRUE(receive(liar).empty());
  auto response = query_for(kWeb, "A");
  response[2] |= 0x80;
  send_all(answer, framed(response));
  EXPECT_TRUE(receive(answer).empty());
  EXPECT_LT(Clock::now() - begin, milliseconds(15000)) << "these at once";
  start();
  begin = Clock::now();
  auto silent = client(SOCK_STREAM), trickling = client(SOCK_STREAM, 20);
  bool open = true;
  for (int i = 0; i < 1000 && open; i++) {
    send_all(trickling, {0});
    char byte = 0;
    auto n = ::recv(trickling.get(), &byte, 1, 0);
    open = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  EXPECT_FALSE(open);
  EXPECT_TRUE(receive(silent).empty());
  auto took = Clock::now() - begin;
  EXPECT_GE(took, milliseconds(250));
  EXPECT_LT(took, milliseconds(15000)) << "bytes that trickle do not hold it";
}

TEST_F(DnsServer, MoreConnectionsThanAreKeptDoNotShutOutTheNextOne) {
  start(milliseconds(600), milliseconds(60000));
  std::vector<Fd> idle;
  for (std::size_t i = 0; i < kMaxConnections + 40; i++) idle.push_back(client(SOCK_STREAM));
  auto next = client(SOCK_STREAM);
  send_all(next, framed(query_for(kWeb, "A")));
  EXPECT_EQ(text_of(receive_frame(next)), kWebAnswer);
  EXPECT_TRUE(receive(idle.front()).empty()) << "the oldest made room";
  send_all(idle.back(), framed(query_for(kWeb, "A")));
  EXPECT_EQ(text_of(receive_frame(idle.back())), kWebAnswer);
}

TEST_F(DnsServer, AForgedResponseIsNotBelieved) {
  start(milliseconds(60000));  // a slow machine must not come to the end of a try
  auto udp = client(SOCK_DGRAM);
  send_all(udp, query_for("example.com.", "A"));
  sockaddr_in from{};
  const Wire query = upstream_query(&from);
  ASSERT_FALSE(query.empty());
  auto reply = [&](Wire w) {
    w[2] |= 0x80;
    answer_upstream(w, from);
  };
  auto forged = query;
  forged[1] ^= 1;
  reply(forged);  // another id
  forged = query;
  forged[kHeader + 1] = 'x';
  reply(forged);  // another question
  auto stranger = socket_of(SOCK_DGRAM);
  auto whole = query;
  whole[2] |= 0x80;
  whole[3] |= 5;
  ::sendto(stranger.get(), whole.data(), whole.size(), 0, reinterpret_cast<sockaddr*>(&from),
           sizeof from);  // another sender
  auto true_one = query;
  true_one[3] |= 3;
  reply(true_one);
  auto got = receive(udp);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(text_of(got), "NXDOMAIN");
  EXPECT_EQ(LDNS_ID_WIRE(got.data()), 0x1234);
}

// As servers from before EDNS do: FORMERR, with the question or with nothing.
TEST_F(DnsServer, AnUpstreamWithoutEdnsIsAskedWithoutIt) {
  start(milliseconds(60000));  // a slow machine must not come to the end of a try
  publish_external();
  const std::string out = "out.default.svc.cluster.local.";
  for (bool header_alone : {false, true}) {
    auto udp = client(SOCK_DGRAM);
    auto start = Clock::now();
    send_all(udp, query_for(out, "A"));
    std::vector<Wire> queries;
    for (int i = 0; i < 2; i++) {
      sockaddr_in from{};
      const Wire query = upstream_query(&from);
      ASSERT_FALSE(query.empty()) << i;
      queries.push_back(query);
      auto answer = query;
      answer[2] |= 0x80;
      answer[3] = i == 0 ? LDNS_RCODE_FORMERR : LDNS_RCODE_NXDOMAIN;
      if (i == 0 && header_alone) {
        answer.resize(kHeader);
        answer[5] = 0;
      }
      if (i == 0) answer[11] = 0;  // no OPT
      if (i == 0 && !header_alone) answer.resize(answer.size() - 11);
      answer_upstream(answer, from);
    }
    EXPECT_TRUE(text_of(queries[0]).starts_with("NOERROR opt1232"));
    EXPECT_EQ(text_of(queries[1]), "NOERROR");
    auto got = receive(udp);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(text_of(got), "NXDOMAIN aa\nan " + out + " 5 IN CNAME www.example.com.");
    EXPECT_LT(Clock::now() - start, milliseconds(15000)) << "nothing waited for the end of a try";
  }
}

// The first could not say; the second has no EDNS, and is the one that is asked again.
TEST_F(DnsServer, TheUpstreamWithoutEdnsIsTheOneAskedAgain) {
  constexpr int kPatience = 20000;
  const Fd first = socket_of(SOCK_DGRAM, kPatience), second = socket_of(SOCK_DGRAM, kPatience);
  upstreams_ = {{.address = kLoopback, .port = bind_somewhere(first)},
                {.address = kLoopback, .port = bind_somewhere(second)}};
  start(milliseconds(6 * kPatience));  // a try is longer than we wait: the next one must not be what comes
  publish_external();
  auto udp = client(SOCK_DGRAM, kPatience);
  send_all(udp, query_for("out.default.svc.cluster.local.", "A"));
  auto answer = [](const Fd& upstream, std::uint8_t code, bool edns) {
    sockaddr_in from{};
    Wire query = query_at(upstream, &from);
    ASSERT_FALSE(query.empty());
    EXPECT_EQ(text_of(query).starts_with("NOERROR opt"), edns) << text_of(query);
    if (edns) query.resize(query.size() - 11);  // no OPT
    query[2] |= 0x80;
    query[3] = code;
    query[11] = 0;
    answer_from(upstream, query, from);
  };
  ASSERT_NO_FATAL_FAILURE(answer(first, LDNS_RCODE_SERVFAIL, true));
  ASSERT_NO_FATAL_FAILURE(answer(second, LDNS_RCODE_FORMERR, true));
  ASSERT_NO_FATAL_FAILURE(answer(second, LDNS_RCODE_NXDOMAIN, false));
  EXPECT_TRUE(text_of(receive(udp)).starts_with("NXDOMAIN"));
}

// And when it finds the plain one malformed too, the client hears of it.
TEST_F(DnsServer, FormerrToAPlainQueryIsPassedOn) {
  start(milliseconds(60000));  // a slow machine must not come to the end of a try
  publish_external();
  auto udp = client(SOCK_DGRAM);
  send_all(udp, query_for("out.default.svc.cluster.local.", "A"));
  for (int i = 0; i < 2; i++) {
    sockaddr_in from{};
    Wire query = upstream_query(&from);
    ASSERT_FALSE(query.empty()) << i;
    query.resize(kHeader);
    query[2] |= 0x80;
    query[3] = LDNS_RCODE_FORMERR;
    query[5] = query[11] = 0;
    answer_upstream(query, from);
  }
  EXPECT_TRUE(text_of(receive(udp)).starts_with("FORMERR"));
}

TEST_F(DnsServer, IdsAndPortsDiffer) {
  auto udp = client(SOCK_DGRAM);
  std::set<int> ids, ports;
  for (int i = 0; i < 50; i++) {
    send_all(udp, query_for("example.com.", "A"));
    sockaddr_in from{};
    const Wire query = upstream_query(&from);
    ASSERT_FALSE(query.empty());
    ids.insert(query[0] << 8 | query[1]);
    ports.insert(from.sin_port);
  }
  EXPECT_GT(ids.size(), 45U);
  EXPECT_GT(ports.size(), 45U);
}

TEST_F(DnsServer, TheTimeOfAQuestionIsBoundedAndSoIsTheirNumber) {
  auto udp = client(SOCK_DGRAM);
  auto start = Clock::now();
  EXPECT_EQ(ask(udp, "example.com."), "SERVFAIL");
  auto took = Clock::now() - start;
  EXPECT_GE(took, milliseconds(550));
  EXPECT_LT(took, milliseconds(15000));

  // More than may be under way: the rest is told so at once, and our own names are served meanwhile. Of many clients:
  // the answers all come at once, and one socket's buffer does not hold them.
  this->start(milliseconds(6000));  // a slow machine must not come to the end of the first while it asks the last
  udp = client(SOCK_DGRAM);
  constexpr std::size_t kEach = 64;
  static_assert(kMaxExchanges % kEach == 0);
  std::vector<Fd> clients;
  auto ask_more = [&](std::size_t n, bool taken) {
    clients.push_back(client(SOCK_DGRAM));
    for (std::size_t i = 0; i < n; i++) {
      const auto name = "n" + std::to_string(clients.size()) + "-" + std::to_string(i);
      send_all(clients.back(), query_for(name + ".example.com.", "A"));
      sockaddr_in from{};
      if (taken) {  // it is under way: the server's buffer does not fill
        EXPECT_FALSE(upstream_query(&from).empty()) << name;
      }
    }
  };
  while (clients.size() < kMaxExchanges / kEach) ask_more(kEach, true);
  start = Clock::now();
  ask_more(10, false);
  for (int i = 0; i < 10; i++) EXPECT_EQ(text_of(receive(clients.back())), "SERVFAIL");
  EXPECT_LT(Clock::now() - start, milliseconds(5500)) << "those that were too many do not wait";
  EXPECT_EQ(ask(udp, kWeb), kWebAnswer);
  std::size_t failed = 0;
  clients.pop_back();
  for (const auto& one : clients)
    for (std::size_t i = 0; i < kEach; i++) failed += !receive(one).empty();
  EXPECT_EQ(failed, kMaxExchanges) << "every one is answered";
}

TEST_F(DnsServer, ChangesArriveWhole) {
  auto udp = client(SOCK_DGRAM);
  for (std::uint32_t i = 1; i <= 50; i++) {
    auto ip = IpAddress::v4(0x0a2b0000 + i);
    server_->publish({{.key = "default/web", .records = ServiceRecords{.addresses = {ip}}},
                      {.key = "default/n" + std::to_string(i), .records = ServiceRecords{.addresses = {ip}}}});
    std::string got;
    for (int tries = 0; tries < 500; tries++) {
      got = ask(udp, kWeb);
      if (got.ends_with(" " + ip.str())) break;
    }
    ASSERT_TRUE(got.ends_with(" " + ip.str())) << got;
    EXPECT_TRUE(ask(udp, "n" + std::to_string(i) + ".default.svc.cluster.local.").ends_with(" " + ip.str()));
  }
}

TEST_F(DnsServer, AnyBytesAreSurvived) {
  auto udp = client(SOCK_DGRAM, 20);
  std::mt19937 random(7);
  auto good = query_for(kWeb, "A", {.edns = true});
  for (int i = 0; i < 5000; i++) {
    auto w = good;
    for (unsigned n = random() % 6; n > 0; n--) w[random() % w.size()] = static_cast<std::uint8_t>(random());
    w.resize(random() % 3 == 0 ? random() % 700 : w.size());
    send_all(udp, w);
  }
  auto fresh = client(SOCK_DGRAM, 2000);
  std::string got;
  for (int i = 0; i < 20 && got != kWebAnswer; i++) got = ask(fresh, kWeb);
  EXPECT_EQ(got, kWebAnswer);
}

}  // namespace
}  // namespace podshim::netproxy::dns::test
