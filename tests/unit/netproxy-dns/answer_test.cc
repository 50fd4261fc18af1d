// Question -> answer.
#include <gtest/gtest.h>

#include "tests/unit/netproxy-dns/dns_world.h"

namespace podshim::netproxy::dns::test {
namespace {

struct Case {
  const char* name;
  const char* question;
  const char* type;
  const char* want;
};

// The serial counts the changes of the world.
const std::string kSoa =
    "\nns cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 12 7200 1800 86400 5";
const std::string kNone = "NXDOMAIN aa" + kSoa;  // search paths go on
const std::string kEmpty = "NOERROR aa" + kSoa;  // the name is there

void check(const std::vector<Case>& cases) {
  World world;
  for (const auto& c : cases) {
    std::string want = c.want;
    if (want == "none") want = kNone;
    if (want == "empty") want = kEmpty;
    EXPECT_EQ(world.answer_to(c.question, c.type), want) << c.name;
  }
}

TEST(DnsAnswer, Services) {
  check({
      {"A", "web.default.svc.cluster.local.", "A", "NOERROR aa\nan web.default.svc.cluster.local. 5 IN A 10.43.0.1"},
      {"case is kept, and does not matter", "WeB.Default.SVC.cluster.LOCAL.", "A",
       "NOERROR aa\nan WeB.Default.SVC.cluster.LOCAL. 5 IN A 10.43.0.1"},
      {"no IPv6", "web.default.svc.cluster.local.", "AAAA", "empty"},
      {"no MX", "web.default.svc.cluster.local.", "MX", "empty"},
      {"dual A", "dual.default.svc.cluster.local.", "A",
       "NOERROR aa\nan dual.default.svc.cluster.local. 5 IN A 10.43.0.3"},
      {"dual AAAA", "dual.default.svc.cluster.local.", "AAAA",
       "NOERROR aa\nan dual.default.svc.cluster.local. 5 IN AAAA fd00:43::3"},
      {"ANY", "dual.default.svc.cluster.local.", "ANY",
       "NOERROR aa\nan dual.default.svc.cluster.local. 5 IN A 10.43.0.3\n"
       "an dual.default.svc.cluster.local. 5 IN AAAA fd00:43::3"},
      {"no address yet", "pending.default.svc.cluster.local.", "A", "empty"},
      {"unknown Service", "gone.default.svc.cluster.local.", "A", "none"},
      {"another namespace", "web.data.svc.cluster.local.", "A", "none"},
      {"below a Service", "x.web.default.svc.cluster.local.", "A", "none"},
      {"a slash is no separator", "web/default.svc.cluster.local.", "A", "none"},
  });
}

TEST(DnsAnswer, WhatSearchPathsMakeOfAName) {
  check({
      {"outside name, 1st", "example.com.default.svc.cluster.local.", "A", "none"},
      {"outside name, 2nd", "example.com.svc.cluster.local.", "A", "none"},
      {"outside name, 3rd", "example.com.cluster.local.", "A", "none"},
      {"outside name, plain", "example.com.", "A", "forward"},
      {"short name, other namespace", "web.default.svc.cluster.local.", "AAAA", "empty"},
      {"name.namespace, 1st", "db.data.default.svc.cluster.local.", "A", "none"},
      {"a namespace has names below", "default.svc.cluster.local.", "A", "empty"},
      {"no such namespace", "nowhere.svc.cluster.local.", "A", "none"},
      {"svc", "svc.cluster.local.", "A", "empty"},
      {"domain", "cluster.local.", "A", "empty"},
      {"other word", "other.cluster.local.", "A", "none"},
      {"parent of the domain", "local.", "A", "forward"},
      {"same letters, other labels", "xcluster.local.", "A", "forward"},
      {"root", ".", "NS", "forward"},
  });
}

TEST(DnsAnswer, Ports) {
  check({
      {"SRV", "_http._tcp.web.default.svc.cluster.local.", "SRV",
       "NOERROR aa\nan _http._tcp.web.default.svc.cluster.local. 5 IN SRV 0 100 80 web.default.svc.cluster.local.\n"
       "ar web.default.svc.cluster.local. 5 IN A 10.43.0.1"},
      {"SRV of two families", "_http._tcp.dual.default.svc.cluster.local.", "SRV",
       "NOERROR aa\nan _http._tcp.dual.default.svc.cluster.local. 5 IN SRV 0 100 80 dual.default.svc.cluster.local.\n"
       "ar dual.default.svc.cluster.local. 5 IN A 10.43.0.3\nar dual.default.svc.cluster.local. 5 IN AAAA fd00:43::3"},
      {"other type", "_http._tcp.web.default.svc.cluster.local.", "A", "empty"},
      {"other protocol", "_http._udp.web.default.svc.cluster.local.", "SRV", "none"},
      {"other port", "_https._tcp.web.default.svc.cluster.local.", "SRV", "none"},
      {"protocol alone", "_tcp.web.default.svc.cluster.local.", "SRV", "empty"},
      {"protocol not there", "_sctp.web.default.svc.cluster.local.", "SRV", "none"},
      {"unnamed port", "_tcp.plain.default.svc.cluster.local.", "SRV", "none"},
      {"no underscore", "http._tcp.web.default.svc.cluster.local.", "SRV", "none"},
      {"SRV of headless", "_pg._tcp.db.data.svc.cluster.local.", "SRV",
       "NOERROR aa\n"
       "an _pg._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 5432 10-42-0-7.db.data.svc.cluster.local.\n"
       "an _pg._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 5432 db-0.db.data.svc.cluster.local.\n"
       "an _pg._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 5432 db-1.db.data.svc.cluster.local.\n"
       "ar 10-42-0-7.db.data.svc.cluster.local. 5 IN A 10.42.0.7\n"
       "ar db-0.db.data.svc.cluster.local. 5 IN A 10.42.0.5\n"
       "ar db-0.db.data.svc.cluster.local. 5 IN AAAA fd00:42::5\n"
       "ar db-1.db.data.svc.cluster.local. 5 IN A 10.42.0.6"},
  });
}

TEST(DnsAnswer, HeadlessServices) {
  check({
      {"ready endpoints", "db.data.svc.cluster.local.", "A",
       "NOERROR aa\nan db.data.svc.cluster.local. 5 IN A 10.42.0.5\nan db.data.svc.cluster.local. 5 IN A 10.42.0.6\n"
       "an db.data.svc.cluster.local. 5 IN A 10.42.0.7"},
      {"IPv6", "db.data.svc.cluster.local.", "AAAA", "NOERROR aa\nan db.data.svc.cluster.local. 5 IN AAAA fd00:42::5"},
      {"hostname", "db-1.db.data.svc.cluster.local.", "A",
       "NOERROR aa\nan db-1.db.data.svc.cluster.local. 5 IN A 10.42.0.6"},
      {"hostname without IPv6", "db-1.db.data.svc.cluster.local.", "AAAA", "empty"},
      {"dashed address", "10-42-0-7.db.data.svc.cluster.local.", "A",
       "NOERROR aa\nan 10-42-0-7.db.data.svc.cluster.local. 5 IN A 10.42.0.7"},
      {"it has a hostname", "10-42-0-6.db.data.svc.cluster.local.", "A", "none"},
      {"not ready", "db-2.db.data.svc.cluster.local.", "A", "none"},
      {"published before ready", "early.data.svc.cluster.local.", "A",
       "NOERROR aa\nan early.data.svc.cluster.local. 5 IN A 10.42.0.9"},
      {"no endpoint, no name", "empty.data.svc.cluster.local.", "A", "none"},
  });
}

TEST(DnsAnswer, ExternalNames) {
  check({
      {"outside", "outside.names.svc.cluster.local.", "A", "chase www.example.com."},
      {"only the CNAME", "outside.names.svc.cluster.local.", "CNAME",
       "NOERROR aa\nan outside.names.svc.cluster.local. 5 IN CNAME www.example.com."},
      {"inside", "inside.names.svc.cluster.local.", "A",
       "NOERROR aa\nan inside.names.svc.cluster.local. 5 IN CNAME web.default.svc.cluster.local.\n"
       "an web.default.svc.cluster.local. 5 IN A 10.43.0.1"},
      {"inside, no IPv6", "inside.names.svc.cluster.local.", "AAAA",
       "NOERROR aa\nan inside.names.svc.cluster.local. 5 IN CNAME web.default.svc.cluster.local.\n"
       "ns cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 12 7200 1800 86400 5"},
      {"to nothing", "broken.names.svc.cluster.local.", "A",
       "NXDOMAIN aa\nan broken.names.svc.cluster.local. 5 IN CNAME gone.default.svc.cluster.local.\n"
       "ns cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 12 7200 1800 86400 5"},
      {"below", "x.outside.names.svc.cluster.local.", "A", "none"},
  });
  EXPECT_TRUE(World().answer_to("ring.names.svc.cluster.local.", "A", {.tcp = true}).starts_with("SERVFAIL"));
}

TEST(DnsAnswer, PodsSchemaAndServer) {
  check({
      {"Pod", "10-42-0-5.default.pod.cluster.local.", "A",
       "NOERROR aa\nan 10-42-0-5.default.pod.cluster.local. 5 IN A 10.42.0.5"},
      {"Pod AAAA", "10-42-0-5.default.pod.cluster.local.", "AAAA", "empty"},
      {"no Pod's address", "192-0-2-1.default.pod.cluster.local.", "A", "none"},
      {"no address", "10-42-0.default.pod.cluster.local.", "A", "none"},
      {"unknown namespace", "10-42-0-5.nowhere.pod.cluster.local.", "A", "none"},
      {"namespace", "default.pod.cluster.local.", "A", "empty"},
      {"pod", "pod.cluster.local.", "A", "empty"},
      {"schema", "dns-version.cluster.local.", "TXT", "NOERROR aa\nan dns-version.cluster.local. 5 IN TXT \"1.1.0\""},
      {"schema A", "dns-version.cluster.local.", "A", "empty"},
      {"server", "ns.dns.cluster.local.", "A", "NOERROR aa\nan ns.dns.cluster.local. 5 IN A 10.43.0.10"},
      {"dns", "dns.cluster.local.", "A", "empty"},
      {"SOA", "cluster.local.", "SOA",
       "NOERROR aa\nan cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 12 7200 1800 86400 5"},
      {"NS", "cluster.local.", "NS",
       "NOERROR aa\nan cluster.local. 5 IN NS ns.dns.cluster.local.\nar ns.dns.cluster.local. 5 IN A 10.43.0.10"},
  });
}

TEST(DnsAnswer, AddressesToNames) {
  const std::string tail = " 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 12 7200 1800 86400 5";
  const std::string services = "\nns 43.10.in-addr.arpa." + tail, pods = "\nns 42.10.in-addr.arpa." + tail;
  const std::string none = "NXDOMAIN aa" + services, empty = "NOERROR aa" + services, no_pod = "NXDOMAIN aa" + pods;
  const std::string apex = "NOERROR aa\nan 43.10.in-addr.arpa." + tail;
  check({
      {"cluster IP", "1.0.43.10.in-addr.arpa.", "PTR",
       "NOERROR aa\nan 1.0.43.10.in-addr.arpa. 5 IN PTR web.default.svc.cluster.local."},
      {"endpoint with hostname", "5.0.42.10.in-addr.arpa.", "PTR",
       "NOERROR aa\nan 5.0.42.10.in-addr.arpa. 5 IN PTR db-0.db.data.svc.cluster.local."},
      {"endpoint without", "7.0.42.10.in-addr.arpa.", "PTR",
       "NOERROR aa\nan 7.0.42.10.in-addr.arpa. 5 IN PTR 10-42-0-7.db.data.svc.cluster.local."},
      {"IPv6, not of our ranges", "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.4.0.0.0.0.d.f.ip6.arpa.", "PTR",
       "NOERROR aa\nan 3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.4.0.0.0.0.d.f.ip6.arpa. 5 IN PTR "
       "dual.default.svc.cluster.local."},
      {"not ready", "8.0.42.10.in-addr.arpa.", "PTR", no_pod.c_str()},
      {"nobody", "99.0.43.10.in-addr.arpa.", "PTR", none.c_str()},
      {"other type", "1.0.43.10.in-addr.arpa.", "A", empty.c_str()},
      {"names below", "0.43.10.in-addr.arpa.", "PTR", empty.c_str()},
      {"apex", "43.10.in-addr.arpa.", "SOA", apex.c_str()},
      {"too many labels", "1.1.0.43.10.in-addr.arpa.", "PTR", none.c_str()},
      {"no number", "x.0.43.10.in-addr.arpa.", "PTR", none.c_str()},
      {"leading zero", "01.0.43.10.in-addr.arpa.", "PTR", none.c_str()},
      {"parent", "10.in-addr.arpa.", "SOA", "forward"},
      {"another range", "1.0.44.10.in-addr.arpa.", "PTR", "forward"},
      {"another IPv6 range", "3.2.ip6.arpa.", "PTR", "forward"},
      {"arpa", "arpa.", "NS", "forward"},
  });
}

TEST(DnsAnswer, WhatIsNotForUs) {
  World world;
  EXPECT_EQ(world.answer_to("version.bind.", "TXT", {.klass = "CH"}), "REFUSED");
  EXPECT_EQ(world.answer_to("cluster.local.", "AXFR", {.tcp = true}), "REFUSED");
  EXPECT_EQ(world.answer_to("example.com.", "AXFR", {.tcp = true}), "REFUSED") << "never passed on";
  EXPECT_EQ(world.answer_to("example.com.", "A", {.recursion = false}), "REFUSED");
  EXPECT_EQ(world.answer_to("outside.names.svc.cluster.local.", "A", {.recursion = false}),
            "NOERROR aa\nan outside.names.svc.cluster.local. 5 IN CNAME www.example.com.");
}

TEST(DnsAnswer, TooMuchForADatagramIsTruncatedAndWholeOverTcp) {
  World world;
  std::string endpoints;
  for (int i = 1; i <= 200; i++)
    endpoints += std::string(i > 1 ? "," : "") + R"({"addresses":["10.42.1.)" + std::to_string(i) + "\"]}";
  world.set(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"big"},"spec":{"clusterIP":"None","ports":[{"name":"p","port":1}]}})",
      {R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"big-1","labels":{"kubernetes.io/service-name":"big"}},
                "addressType":"IPv4","ports":[{"name":"p","port":1}],"endpoints":[)" +
       endpoints + "]}"});
  auto count = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  struct {
    const char* name;
    Ask ask;
    long records;
    const char* head;
  } cases[] = {
      {"plain", {}, (512 - 12 - 32) / 16, "NOERROR aa tc\n"},
      {"EDNS", {.edns = true, .udp_size = 1232}, (1232 - 12 - 32 - 11) / 16, "NOERROR aa tc opt1232\n"},
      {"EDNS, more than we send",
       {.edns = true, .udp_size = 4096},
       (1232 - 12 - 32 - 11) / 16,
       "NOERROR aa tc opt1232\n"},
      {"EDNS, less than is allowed",
       {.edns = true, .udp_size = 100},
       (512 - 12 - 32 - 11) / 16,
       "NOERROR aa tc opt1232\n"},
      {"TCP", {.tcp = true}, 200, "NOERROR aa\n"},
  };
  for (const auto& c : cases) {
    auto text = world.answer_to("big.default.svc.cluster.local.", "A", c.ask);
    EXPECT_EQ(count(text), c.records) << c.name;
    EXPECT_TRUE(text.starts_with(c.head)) << c.name << ": " << text.substr(0, 60);
  }
  auto srv = world.answer_to("_p._tcp.big.default.svc.cluster.local.", "SRV", {.tcp = true});
  EXPECT_EQ(count(srv), 200 + 64) << "every record, and as many addresses beside them as help";
}

TEST(DnsAnswer, EdnsIsAnsweredWithEdns) {
  World world;
  auto name = "web.default.svc.cluster.local.";
  EXPECT_EQ(world.answer_to(name, "A", {.edns = true, .dnssec_ok = true}),
            "NOERROR aa opt1232 do\nan web.default.svc.cluster.local. 5 IN A 10.43.0.1");
  EXPECT_TRUE(
      world.answer_to("gone.default.svc.cluster.local.", "A", {.edns = true}).starts_with("NXDOMAIN aa opt1232\n"));
}

TEST(DnsAnswer, TheFirstEndpointTakesTurns) {
  World world;
  std::set<std::string> first;
  for (std::uint32_t spin = 0; spin < 3; spin++) {
    auto wire = query_for("db.data.svc.cluster.local.", "A");
    std::array<std::uint8_t, kOurUdp> out;
    Query query;
    ASSERT_EQ(answer(wire, false, world.zone, world.facts, spin, out, query).next, Next::reply);
    std::size_t data = kHeader + query.question.size() + 12;
    first.insert(IpAddress::from_bytes(Family::v4, Bytes(out).subspan(data, 4)).str());
  }
  EXPECT_EQ(first.size(), 3U);
}

TEST(DnsZone, AChangeReplacesAndRemoves) {
  World world;
  auto serial = world.zone.serial();
  auto records = *world.zone.find("data", "db");
  world.zone.apply({.key = "data/db", .records = records});
  EXPECT_EQ(world.zone.serial(), serial) << "nothing new was said";
  std::erase_if(records.endpoints, [](const Endpoint& e) { return e.name == "db-1"; });
  world.zone.apply({.key = "data/db", .records = records});
  EXPECT_EQ(world.zone.serial(), serial + 1);
  EXPECT_EQ(world.zone.owners(*IpAddress::parse("10.42.0.6")), nullptr);
  EXPECT_NE(world.zone.owners(*IpAddress::parse("10.42.0.5")), nullptr);
  for (const char* key : {"data/db", "data/early", "data/empty", "data/empty", "data/never"})
    world.zone.apply({.key = key, .records = std::nullopt});
  EXPECT_FALSE(world.zone.has_namespace("data"));
  EXPECT_EQ(world.zone.owners(*IpAddress::parse("10.42.0.5")), nullptr);
  EXPECT_TRUE(world.zone.has_namespace("default"));
  EXPECT_TRUE(world.answer_to("data.svc.cluster.local.", "A").starts_with("NXDOMAIN"));
}

TEST(DnsZone, ADomainMustBeOne) {
  Cidr any;
  for (const char* bad : {"", ".", "a..b", "this-label-is-longer-than-sixty-three-characters-and-so-it-is-no-label.x"})
    EXPECT_FALSE(ZoneFacts::make(bad, {}, {}, any)) << bad;
  EXPECT_TRUE(ZoneFacts::make("cluster.local.", {}, {}, any)) << "with a dot at the end, too";
}

}  // namespace
}  // namespace podshim::netproxy::dns::test
