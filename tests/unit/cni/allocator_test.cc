// host-local without a kernel: its configuration, the allocator's properties, the file of leases.
#include "cni/ipam/allocator.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <random>
#include <set>

#include "cni/ipam/disk_store.h"
#include "cni/ipam/host_local.h"
#include "cni/ipam/netconf.h"
#include "common/sys/file.h"

namespace podshim::cni::ipam {
namespace {

RangeSet set_of(const char* subnet) { return {*make_range("r", *Cidr::parse(subnet), {}, {}, {})}; }
Attachment who(int n) { return {"c" + std::to_string(n), "eth0"}; }

IpAddress take(State& s, const std::vector<RangeSet>& sets, int n) {
  auto got = allocate(s, "net", sets, who(n), {});
  EXPECT_TRUE(got) << got.error().text();
  return got ? got->front().address.address : IpAddress();
}

TEST(Allocator, NeverTwoHoldersAndNeverTheGateway) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/28"), set_of("fd00::/120")};
  State s;
  std::mt19937 random(7);
  std::set<int> live;
  for (int i = 0; i < 5000; i++) {
    if (!live.empty() && random() % 2 == 0) {
      int n = *std::next(live.begin(), static_cast<long>(random() % live.size()));
      EXPECT_EQ(release(s, who(n)).size(), 2U);
      EXPECT_TRUE(release(s, who(n)).empty());
      live.erase(n);
    } else if (auto got = allocate(s, "net", sets, who(i), {})) {
      live.insert(i);
      for (const auto& a : *got) EXPECT_NE(a.address.address, a.gateway);
    } else {
      EXPECT_EQ(got.error().kind, ErrorKind::resource_exhausted);
      EXPECT_EQ(live.size(), 13U);
    }
    std::set<IpAddress> held;
    for (const auto& l : s.leases)
      for (const auto& ip : l.addresses) EXPECT_TRUE(held.insert(ip).second);
    EXPECT_EQ(free_in(s, sets[0]), 13 - live.size());
  }
}

TEST(Allocator, TheLeastRecentlyFreedComesLast) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/28")};
  State s;
  for (int i = 0; i < 13; i++) take(s, sets, i);
  // Freed in this order, handed out in this order.
  std::vector<IpAddress> order;
  for (int n : {5, 2, 9, 0}) order.push_back(release(s, who(n)).front());
  for (const auto& want : order) EXPECT_EQ(take(s, sets, 100 + static_cast<int>(&want - order.data())), want);
}

TEST(Allocator, AFreedAddressRestsWhileOthersAreFree) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/16")};
  State s;
  std::vector<IpAddress> recent;
  for (int i = 0; i < 3000; i++) {
    auto ip = take(s, sets, i);
    auto window = recent.size() > kRemembered ? recent.end() - kRemembered : recent.begin();
    EXPECT_EQ(std::find(window, recent.end(), ip), recent.end());
    recent.push_back(release(s, who(i)).front());
  }
  EXPECT_LE(s.freed.size(), kRemembered);
}

TEST(Allocator, ABootFreesEverything) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/28")};
  State s{.boot_id = "one"};
  for (int i = 0; i < 13; i++) take(s, sets, i);
  renew(s, "one");
  EXPECT_EQ(free_in(s, sets[0]), 0U);
  renew(s, "two");
  EXPECT_EQ(free_in(s, sets[0]), 13U);
}

TEST(Allocator, RefusalsChangeNothingAndSayWhy) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/29"), set_of("fd00::/126")};
  State s;
  for (int i = 0; i < 2; i++) take(s, sets, i);  // the second set has three, one is the gateway
  State before = s;
  struct Case {
    const char* name;
    Attachment owner;
    std::vector<const char*> requested;
    const char* says;
  };
  const Case cases[] = {
      {"twice", who(0), {}, "attachment has an IP already c0/eth0: 10.0.0.2 in network net"},
      {"held", who(9), {"10.0.0.2"}, "IP in use 10.0.0.2: held by c0/eth0 in network net"},
      {"gateway", who(9), {"10.0.0.1"}, "10.0.0.1 is the gateway of 10.0.0.0/29"},
      {"elsewhere", who(9), {"192.0.2.1"}, "192.0.2.1 is in no range of network net"},
      {"full", who(9), {}, "no free IP network net: all 2 addresses of fd00::/126 (fd00::1-fd00::3) are in use"},
  };
  for (const auto& c : cases) {
    std::vector<IpAddress> ips;
    for (const char* text : c.requested) ips.push_back(*IpAddress::parse(text));
    // Only the last case may get as far as the second set.
    auto only_first = std::vector<RangeSet>{sets[0]};
    auto got = allocate(s, "net", std::string(c.name) == "full" ? sets : only_first, c.owner, ips);
    ASSERT_FALSE(got) << c.name;
    EXPECT_NE(got.error().text().find(c.says), std::string::npos) << got.error().text();
    EXPECT_EQ(s, before) << c.name;
  }
}

TEST(Allocator, ALargeRangeIsNotScanned) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/8"), set_of("fd00::/64")};
  State s;
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 300; i++) take(s, sets, i);
  // A scan of the first would take minutes, of the second for ever.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(sets[1].front().capacity(), UINT64_MAX - 1);
}

TEST(Store, DecodeOfEncodeIsTheSame) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/24"), set_of("fd00::/64")};
  State s{.boot_id = "b-1"};
  for (int i = 0; i < 20; i++) take(s, sets, i);
  for (int i = 0; i < 7; i++) release(s, who(i));
  s.lost = true;
  auto again = decode_state(encode(s));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, s);
  EXPECT_EQ(*decode_state(encode(State{})), State{});
}

TEST(Store, BrokenTextIsRefused) {
  for (const char* text :
       {"", "x", "podshim-leases 2\n", "podshim-leases 1\nlease c eth0\n", "podshim-leases 1\nlease c eth0 10.0.0\n",
        "podshim-leases 1\nlast 99999999 10.0.0.1\n", "podshim-leases 1\nboot x", "podshim-leases 1\nwhat\n"})
    EXPECT_FALSE(decode_state(text)) << text;
}

class Disk : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/podshim-ipam-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(dir_)); }
  std::string dir_;
};

TEST_F(Disk, KeepsTheStateOfThisBootOnly) {
  State s{.boot_id = "one"};
  std::vector<RangeSet> sets = {set_of("10.0.0.0/24")};
  take(s, sets, 1);
  ASSERT_TRUE((*DiskStore::open(dir_, "net", "one", true))->save(s));
  EXPECT_EQ(*(*DiskStore::open(dir_, "net", "one", false))->load(), s);
  auto other = (*DiskStore::open(dir_, "net", "two", false))->load();
  EXPECT_TRUE(other->leases.empty());
  EXPECT_EQ(DiskStore::open(dir_, "none", "one", false).error().code, ENOENT);
}

TEST_F(Disk, ABrokenFileOfAnotherBootIsSetAside) {
  {
    ASSERT_TRUE(DiskStore::open(dir_, "net", "one", true));
  }
  ASSERT_TRUE(sys::write_file(dir_ + "/net/leases", "podshim-leases 1\nboot one\nlease ", 0600));
  auto state = (*DiskStore::open(dir_, "net", "two", false))->load();
  ASSERT_TRUE(state);
  EXPECT_EQ(*state, State{.boot_id = "two"});
  EXPECT_TRUE(sys::exists(dir_ + "/net/leases.bad"));
}

// Nothing is forgotten of a file that was damaged while its leases live: the other copy has it.
TEST_F(Disk, ADamagedFileOfThisBootIsMendedFromTheOther) {
  std::vector<RangeSet> sets = {set_of("10.0.0.0/24")};
  State s{.boot_id = "one"};
  for (int i = 0; i < 20; i++) take(s, sets, i);
  const auto path = dir_ + "/net/leases", text = encode(s);
  ASSERT_TRUE((*DiskStore::open(dir_, "net", "one", true))->save(s));
  auto damage = [&](const std::string& file, const std::optional<std::string>& with) {
    if (with) {
      ASSERT_TRUE(sys::write_file(file, *with, 0600));
    } else {
      ASSERT_EQ(::unlink(file.c_str()), 0);
    }
  };
  struct Case {
    const char* name;
    std::optional<std::string> leases;
  };
  const Case cases[] = {{"cut in half", text.substr(0, text.size() / 2)},
                        {"cut in the last address", text.substr(0, text.size() - 2)},
                        {"empty", ""},
                        {"zeroed", std::string(text.size(), '\0')},
                        {"one line spoiled", std::string(text).replace(text.find("lease c7"), 5, "lxxse")},
                        {"gone", std::nullopt}};
  for (const auto& c : cases) {
    ::unlink((path + ".bad").c_str());
    damage(path, c.leases);
    auto state = (*DiskStore::open(dir_, "net", "one", false))->load();
    ASSERT_TRUE(state) << c.name;
    EXPECT_EQ(*state, s) << c.name;
    if (c.leases) {
      EXPECT_EQ(*sys::read_file(path + ".bad"), *c.leases) << c.name;
    }
    // And the two copies are whole again.
    for (const auto* end : {"", ".new"}) EXPECT_EQ(*sys::read_file(path + end), text) << c.name;
  }
  // The copy alone costs nothing.
  damage(path + ".new", "x");
  EXPECT_EQ(*(*DiskStore::open(dir_, "net", "one", false))->load(), s);
}

TEST_F(Disk, WithNeitherCopyNoAddressIsHandedOutUntilNoneCanBeAlive) {
  Request r{.network = "net", .attachment = who(1)};
  r.config = *json::parse(R"({"ipam":{"subnet":"10.0.0.0/24","dataDir":")" + dir_ + R"("}})");
  auto request = [&](int n) {
    auto out = r;
    out.attachment = who(n);
    return out;
  };
  const auto path = dir_ + "/net/leases";
  auto lose = [&](const std::string& text) {
    for (const auto* end : {"", ".new"}) ASSERT_TRUE(sys::write_file(path + end, text, 0600));
  };
  for (int i = 0; i < 3; i++) ASSERT_TRUE(add(request(i), "boot"));
  auto half = *sys::read_file(path);
  lose(half.substr(0, half.find("lease c1 eth0") + 3));
  auto refused = add(request(9), "boot");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("leases of this boot were lost"), std::string::npos) << refused.error().text();
  // What is known is still released, what is not is success, and the next call knows it too.
  EXPECT_EQ(del(request(0), "boot")->size(), 1U);
  EXPECT_TRUE(del(request(2), "boot"));
  EXPECT_FALSE(add(request(9), "boot"));
  auto collect = [&](const char* valid) {
    auto all = r;
    all.config = *json::parse(R"({"cni.dev/valid-attachments":)" + std::string(valid) + R"(,"ipam":{"dataDir":")" +
                              dir_ + R"("}})");
    EXPECT_TRUE(gc(all, "boot"));
  };
  collect(R"([{"containerID":"c2","ifname":"eth0"}])");
  EXPECT_FALSE(add(request(9), "boot")) << "one may be alive";
  collect("[]");
  EXPECT_TRUE(add(request(9), "boot"));
  for (const auto* gone : {"", ".new"}) ASSERT_EQ(::unlink((path + gone).c_str()), 0);
  EXPECT_FALSE(add(request(10), "boot")) << "both are gone";
  EXPECT_TRUE(add(request(10), "next boot"));
}

// Killed before the first State was whole: nobody has an address.
TEST_F(Disk, AFirstCallThatWasKilledLosesNothing) {
  {
    ASSERT_TRUE(DiskStore::open(dir_, "net", "one", true));
  }
  ASSERT_TRUE(sys::write_file(dir_ + "/net/leases.new", "podshim-leases 1\nboot one\nlea", 0600));
  EXPECT_EQ(*(*DiskStore::open(dir_, "net", "one", false))->load(), State{.boot_id = "one"});
}

TEST_F(Disk, AKillAtAnyPointLeavesAStateThatReads) {
  Request r{.network = "net", .attachment = who(1)};
  r.config = *json::parse(R"({"ipam":{"subnet":"10.0.0.0/28","dataDir":")" + dir_ + R"("}})");
  std::mt19937 random(11);
  for (int i = 0; i < 60; i++) {
    pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) {
        [[maybe_unused]] auto added = add(r, "boot");
        [[maybe_unused]] auto freed = del(r, "boot");
      }
    }
    ::usleep(static_cast<useconds_t>(200 + random() % 2000));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    auto store = DiskStore::open(dir_, "net", "boot", true);
    auto state = (*store)->load();
    ASSERT_TRUE(state) << state.error().text();
    EXPECT_LE(state->leases.size(), 1U);
  }
  EXPECT_TRUE(del(r, "boot"));
  auto names = *sys::list_dir(dir_ + "/net");
  for (const auto& name : names) EXPECT_TRUE(name == "leases" || name == "lock" || name == "leases.new") << name;
}

TEST(NetConf, BadInputNamesTheField) {
  struct Case {
    const char* name;
    const char* ipam;
    const char* says;
  };
  const Case cases[] = {
      {"nothing", R"({"type":"host-local"})", "ipam.ranges: names no range"},
      {"no subnet", R"({"ranges":[[{"gateway":"10.0.0.1"}]]})", "ipam.ranges[0][0].subnet: is missing"},
      {"bad subnet", R"({"subnet":"10.0.0.0"})", "ipam.subnet: \"10.0.0.0\" has no /prefix"},
      {"host bits", R"({"subnet":"10.0.0.1/24"})", "ipam.subnet: 10.0.0.1/24 has host bits set"},
      {"small", R"({"ranges":[[{"subnet":"10.0.0.0/31"}]]})", "ipam.ranges[0][0].subnet: 10.0.0.0/31 is too small"},
      {"start outside", R"({"subnet":"10.0.0.0/24","rangeStart":"10.0.1.5"})",
       "ipam.rangeStart: 10.0.1.5 is not in 10.0.0.0/24"},
      {"end before start", R"({"subnet":"10.0.0.0/24","rangeStart":"10.0.0.9","rangeEnd":"10.0.0.8"})",
       "ipam.rangeEnd: 10.0.0.8 is before"},
      {"gateway outside", R"({"subnet":"10.0.0.0/24","gateway":"1.1.1.1"})", "ipam.gateway: 1.1.1.1 is not in"},
      {"overlap", R"({"ranges":[[{"subnet":"10.0.0.0/16"}],[{"subnet":"10.0.4.0/24"}]]})", "overlaps"},
      {"mixed set", R"({"ranges":[[{"subnet":"10.0.0.0/24"},{"subnet":"fd00::/64"}]]})",
       "ipam.ranges[0][1]: is of another family"},
      {"ranges not a list", R"({"ranges":[{"subnet":"10.0.0.0/24"}]})", "ipam.ranges[0]: is not a list of ranges"},
      {"route", R"({"subnet":"10.0.0.0/24","routes":[{"dst":"x"}]})", "ipam.routes[0].dst"},
      {"data dir", R"({"subnet":"10.0.0.0/24","dataDir":"x"})", "ipam.dataDir: \"x\" is not an absolute path"},
  };
  for (const auto& c : cases) {
    Request r{.network = "net"};
    r.config = json::Value::object().set("ipam", *json::parse(c.ipam));
    auto conf = decode(r);
    ASSERT_FALSE(conf) << c.name;
    EXPECT_EQ(conf.error().kind, ErrorKind::invalid_argument) << c.name;
    EXPECT_NE(conf.error().text().find(c.says), std::string::npos) << c.name << ": " << conf.error().text();
  }
}

TEST(NetConf, RequestsComeFromEverywhere) {
  Request r{.network = "net", .args = {{"ip", "10.0.0.5"}}};
  r.config = *json::parse(R"({"ipam":{"subnet":"10.0.0.0/24"},"args":{"cni":{"ips":["10.0.0.6/24"]}},
                              "runtimeConfig":{"ips":["10.0.0.7","10.0.0.5"],"ipRanges":[[{"subnet":"10.9.0.0/24"}]]}})");
  auto conf = decode(r);
  ASSERT_TRUE(conf) << conf.error().text();
  std::string all;
  for (const auto& ip : conf->requested) all += ip.str() + " ";
  EXPECT_EQ(all, "10.0.0.5 10.0.0.6 10.0.0.7 ");
  EXPECT_EQ(conf->ranges.front().front().subnet.str(), "10.9.0.0/24");  // the runtime's comes first
}

TEST(NetConf, ResolvConf) {
  auto dns = parse_resolv_conf(
      "# x\nnameserver 10.0.0.1\nnameserver  fd00::1 # y\nsearch a b\ndomain d\noptions ndots:5 rotate\nnameserver\n");
  EXPECT_EQ(dns.nameservers, (std::vector<std::string>{"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(dns.search, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(dns.domain, "d");
  EXPECT_EQ(dns.options, (std::vector<std::string>{"ndots:5", "rotate"}));
}

}  // namespace
}  // namespace podshim::cni::ipam
