// What comes from upstream, and who upstream is.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "netproxy/dns/ldns.h"
#include "netproxy/dns/response.h"
#include "netproxy/dns/upstream.h"
#include "tests/unit/netproxy-dns/dns_world.h"

namespace podshim::netproxy::dns::test {
namespace {

using Wire = std::vector<std::uint8_t>;

// The response of an honest upstream to a query.
Wire respond(const Wire& query, const std::vector<std::string>& answers, const std::vector<std::string>& authority = {},
             int rcode = 0) {
  ldns_pkt* p = nullptr;
  EXPECT_EQ(ldns_wire2pkt(&p, query.data(), query.size()), LDNS_STATUS_OK);
  ldns_pkt_set_qr(p, true);
  ldns_pkt_set_rcode(p, static_cast<std::uint8_t>(rcode));
  auto push = [&](ldns_pkt_section section, const std::vector<std::string>& list) {
    for (const auto& text : list) {
      ldns_rr* rr = nullptr;
      EXPECT_EQ(ldns_rr_new_frm_str(&rr, text.c_str(), 0, nullptr, nullptr), LDNS_STATUS_OK) << text;
      ldns_pkt_push_rr(p, section, rr);
    }
  };
  push(LDNS_SECTION_ANSWER, answers);
  push(LDNS_SECTION_AUTHORITY, authority);
  std::uint8_t* wire = nullptr;
  std::size_t size = 0;
  EXPECT_EQ(ldns_pkt2wire(&wire, p, &size), LDNS_STATUS_OK);
  Wire out(wire, wire + size);
  std::free(wire);
  ldns_pkt_free(p);
  return out;
}

TEST(DnsResponse, OnlyTheAnswerToWhatWasAskedCounts) {
  auto query = query_for("example.com.", "A");
  auto good = respond(query, {"example.com. 60 IN A 192.0.2.7"});
  EXPECT_TRUE(answers_to(good, query));
  auto changed = [&](std::size_t at, std::uint8_t value) {
    auto w = good;
    w.at(at) = value;
    return w;
  };
  EXPECT_FALSE(answers_to(changed(1, 0x35), query)) << "id";
  EXPECT_FALSE(answers_to(changed(2, 0x01), query)) << "a query";
  EXPECT_FALSE(answers_to(changed(5, 0), query)) << "no question";
  EXPECT_FALSE(answers_to(changed(13, 'f'), query)) << "name";
  EXPECT_TRUE(answers_to(changed(13, 'E'), query)) << "case";
  EXPECT_FALSE(answers_to(changed(kHeader + 14, 28), query)) << "type";
  EXPECT_FALSE(answers_to(changed(kHeader + 16, 3), query)) << "class";
  for (std::size_t size = 0; size < kHeader + 17; size++)
    EXPECT_FALSE(answers_to(Bytes(good).first(size), query)) << size;
  auto header = Wire(good.begin(), good.begin() + kHeader);
  header[5] = header[7] = 0;
  EXPECT_FALSE(answers_to(header, query)) << "a header alone";
  header[3] |= LDNS_RCODE_FORMERR;
  EXPECT_TRUE(answers_to(header, query)) << "malformed, says one that reads no further";
  header[1] ^= 1;
  EXPECT_FALSE(answers_to(header, query)) << "to somebody else";
}

TEST(DnsResponse, RelayedAsItCameOrTruncated) {
  auto wire = query_for("example.com.", "A");
  Query query;
  ASSERT_EQ(parse_query(wire, query).verdict, Verdict::take);
  std::vector<std::string> records;
  for (int i = 1; i <= 40; i++) records.push_back("example.com. 60 IN A 192.0.2." + std::to_string(i));
  auto upstream = query_for("example.com.", "A");
  upstream[0] = 0x77;
  std::vector<std::uint8_t> out(kMaxTcp);
  auto small = respond(upstream, {records[0]});
  auto size = relay(small, query, 512, out);
  EXPECT_EQ(size, small.size());
  EXPECT_EQ(LDNS_ID_WIRE(out.data()), 0x1234);
  EXPECT_EQ(text_of(Bytes(out).first(size)), "NOERROR\nan example.com. 60 IN A 192.0.2.1");
  auto large = respond(upstream, records);
  size = relay(large, query, 512, out);
  EXPECT_EQ(text_of(Bytes(out).first(size)), "NOERROR tc");
  EXPECT_EQ(LDNS_ID_WIRE(out.data()), 0x1234);
  EXPECT_EQ(relay(large, query, kMaxTcp, out), large.size());
}

TEST(DnsResponse, ACnameIsJoinedWithWhatItsTargetIs) {
  World world;
  auto wire = query_for("outside.names.svc.cluster.local.", "A");
  std::array<std::uint8_t, kOurUdp> partial;
  Query query;
  auto outcome = answer(wire, false, world.zone, world.facts, 0, partial, query);
  ASSERT_EQ(outcome.next, Next::chase);
  Name target;
  ASSERT_NE(target.read(Bytes(partial).subspan(outcome.target)), 0U);
  Wire sent(kMaxQuery);
  sent.resize(make_query(target.wire(), query.type, true, false, sent));
  EXPECT_TRUE(text_of(sent).starts_with("NOERROR opt1232"));

  std::vector<std::uint8_t> out(kMaxTcp);
  auto joined = [&](const Wire& response, std::size_t limit = 512) {
    auto size = join(Bytes(partial).first(outcome.size), outcome.answers, response, query, limit, out);
    EXPECT_LE(size, limit);
    EXPECT_EQ(LDNS_ID_WIRE(out.data()), 0x1234);
    return text_of(Bytes(out).first(size));
  };
  const std::string cname = "an outside.names.svc.cluster.local. 5 IN CNAME www.example.com.";
  EXPECT_EQ(
      joined(respond(sent, {"www.example.com. 60 IN CNAME cdn.example.net.", "cdn.example.net. 60 IN A 192.0.2.7"})),
      "NOERROR aa\nan cdn.example.net. 60 IN A 192.0.2.7\n" + cname +
          "\nan www.example.com. 60 IN CNAME cdn.example.net.");
  EXPECT_EQ(joined(respond(sent, {}, {"example.com. 60 IN SOA a. b. 1 2 3 4 5"}, LDNS_RCODE_NXDOMAIN)),
            "NXDOMAIN aa\n" + cname + "\nns example.com. 60 IN SOA a. b. 1 2 3 4 5");
  std::vector<std::string> many;
  for (int i = 1; i <= 40; i++) many.push_back("www.example.com. 60 IN A 192.0.2." + std::to_string(i));
  EXPECT_TRUE(joined(respond(sent, many)).starts_with("NOERROR aa tc\n" + std::string("an outside.names")));
  EXPECT_TRUE(joined(respond(sent, many), kMaxTcp).starts_with("NOERROR aa\n"));
  auto broken = respond(sent, {"www.example.com. 60 IN A 192.0.2.7"});
  broken.resize(broken.size() - 20);
  EXPECT_EQ(joined(broken), "SERVFAIL aa\n" + cname);
}

TEST(DnsUpstream, ResolvConf) {
  auto list = parse_resolv_conf(
      "# nameserver 192.0.2.1\nsearch a b\nnameserver 192.0.2.2\nnameserver\tfd00::2 # x\nnameserver fe80::1%eth0\n"
      "nameserver nonsense\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n");
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0].address.str(), "192.0.2.2");
  EXPECT_EQ(list[1].address.str(), "fd00::2");
  EXPECT_EQ(list[2].address.str(), "192.0.2.3");
}

DnsUpstream at(const char* address, int port = 53) { return {.address = *IpAddress::parse(address), .port = port}; }

TEST(DnsUpstream, TheIllOneIsAskedLastAndNeverOneself) {
  auto now = Clock::now();
  auto self = at("10.43.0.10"), a = at("192.0.2.1"), b = at("192.0.2.2");
  Upstreams list({self, a, b}, "/nonexistent", {self});
  EXPECT_EQ(list.size(), 2U);
  EXPECT_EQ(list.choose(now, nullptr), a);
  EXPECT_EQ(list.choose(now, &a), b) << "another one than before";
  list.failed(a, now);
  EXPECT_EQ(list.choose(now, nullptr), b);
  list.failed(b, now);
  EXPECT_EQ(list.choose(now, nullptr), a) << "both are ill: in order";
  EXPECT_EQ(list.choose(now, &a), b);
  list.answered(b);
  EXPECT_EQ(list.choose(now, nullptr), b);
  EXPECT_EQ(list.choose(now + std::chrono::seconds(11), nullptr), a) << "well again after a while";
  Upstreams one({a}, "", {self});
  one.failed(a, now);
  EXPECT_EQ(one.choose(now, &a), a) << "there is no other";
  EXPECT_FALSE(Upstreams({self}, "", {self}).choose(now, nullptr));
}

TEST(DnsUpstream, TheFileIsReadAgainWhenItChanged) {
  std::string path = testing::TempDir() + "resolv." + std::to_string(::getpid());
  auto write = [&](const char* text, int seconds) {
    std::ofstream(path) << text;
    timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  };
  write("nameserver 192.0.2.1\n", 1000);
  Upstreams list({}, path, {});
  auto now = Clock::now();
  EXPECT_EQ(list.choose(now, nullptr), at("192.0.2.1"));
  write("nameserver 192.0.2.2\n", 2000);
  EXPECT_EQ(list.choose(now + std::chrono::seconds(1), nullptr), at("192.0.2.1")) << "not looked at yet";
  EXPECT_EQ(list.choose(now + std::chrono::seconds(6), nullptr), at("192.0.2.2"));
  ::unlink(path.c_str());
  EXPECT_FALSE(list.choose(now + std::chrono::seconds(12), nullptr));
}

TEST(DnsConfig, UpstreamsAndTimeout) {
  auto decode = [](const std::string& upstream, const std::string& more = "") -> Result<Config> {
    auto document = json::parse(R"({"netproxy":{"dns":{"upstream":[)" + upstream + "]" + more + "}}}");
    return decode_config(*document, "config.yaml");
  };
  auto c = decode(R"("192.0.2.1","192.0.2.1:5353","fd00::1","[fd00::1]:5353")", R"(,"timeout-ms":1500)");
  ASSERT_TRUE(c) << c.error().text();
  EXPECT_EQ(c->netproxy.dns_upstream,
            (std::vector{at("192.0.2.1"), at("192.0.2.1", 5353), at("fd00::1"), at("fd00::1", 5353)}));
  EXPECT_EQ(c->netproxy.dns_timeout.count(), 1500);
  for (const char* bad : {R"("")", R"("dns.example.com")", R"("192.0.2.1:")", R"("192.0.2.1:0")",
                          R"("192.0.2.1:65536")", R"("192.0.2.1:53x")", R"("[192.0.2.1]:53")", R"("[fd00::1]")"})
    EXPECT_FALSE(decode(bad)) << bad;
  EXPECT_FALSE(decode("", R"(,"timeout-ms":1)"));
  EXPECT_FALSE(decode("", R"(,"nonsense":1)"));
}

TEST(DnsConfig, ServedOnlyWhereTheFileSaysSo) {
  auto serves = [](const char* text) { return decode_config(*json::parse(text), "c")->serves_dns(); };
  EXPECT_FALSE(serves("{}"));
  EXPECT_FALSE(serves(R"({"cluster-dns":"none"})"));
  EXPECT_TRUE(serves(R"({"cluster-dns":"10.43.0.10"})"));
}

}  // namespace
}  // namespace podshim::netproxy::dns::test
