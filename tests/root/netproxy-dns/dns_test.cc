// Service DNS as programs that are not ours see it: dig and glibc's resolver in a Pod, dnsmasq as the upstream outside.
#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "tests/root/netproxy/net_fixture.h"

extern char** environ;

namespace podshim::test {
namespace {

using std::chrono::milliseconds;

const std::string kServer = "10.43.0.10", kUpstream = "192.0.2.100";
const std::string kProgram = std::string(PODSHIM_BUILD_DIR) + "/bin/netproxy";

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

class DnsTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    add_pod("client", "10.42.0.100", false);
    write_service({});
    object("web-2", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"named"},
      "spec":{"clusterIP":"10.43.0.7","ports":[{"name":"http","port":80}]}})");
    object("db", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"db","namespace":"data"},
      "spec":{"clusterIP":"None","ports":[{"name":"pg","port":5432}]}})");
    endpoints({"10.42.0.5", "10.42.0.6"});
    object("shop", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"shop"},
      "spec":{"type":"ExternalName","externalName":"www.example.com"}})");
  }
  void TearDown() override {
    if (upstream_pid_ != 0) stop(upstream_pid_);
    NetTest::TearDown();
  }

  void object(const std::string& file, const std::string& text) {
    ASSERT_TRUE(sys::write_file_atomic(dir + "/services/" + file + ".json", text));
  }
  // Of the headless Service data/db.
  void endpoints(const std::vector<std::string>& addresses) {
    std::string list;
    for (std::size_t i = 0; i < addresses.size(); i++)
      list += (i == 0 ? "" : ",") +
              (R"({"hostname":"db-)" + std::to_string(i) + R"(","addresses":[")" + addresses[i] + "\"]}");
    object("db-slice", R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
      "metadata":{"name":"db-1","namespace":"data","labels":{"kubernetes.io/service-name":"db"}},
      "ports":[{"name":"pg","port":5432}],"endpoints":[)" +
                           list + "]}");
  }

  pid_t spawn(std::vector<std::string> arguments, const std::string& output) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    for (int fd : {1, 2})
      ::posix_spawn_file_actions_addopen(&actions, fd, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    EXPECT_EQ(::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0) << arguments[0];
    ::posix_spawn_file_actions_destroy(&actions);
    return pid;
  }
  static void stop(pid_t& pid) {
    ::kill(pid, SIGTERM);
    ::waitpid(std::exchange(pid, 0), nullptr, 0);
  }

  // dnsmasq outside, at kUpstream.
  void start_upstream() {
    std::string big;
    for (int i = 0; i < 12; i++) big += "," + std::string(200, static_cast<char>('a' + i));
    in("out", [&] {
      upstream_pid_ = spawn(
          {"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
           "--pid-file=", "--listen-address=" + kUpstream, "--bind-interfaces",
           "--host-record=www.example.com,192.0.2.7", "--local=/example.com/", "--txt-record=big.example.com" + big},
          dir + "/dnsmasq");
    });
    for (int i = 0; i < 100; i++) {
      if (trimmed(sh("dig +short +tries=1 +time=1 www.example.com @" + kUpstream).text) == "192.0.2.7") return;
      std::this_thread::sleep_for(milliseconds(20));
    }
    ADD_FAILURE() << "dnsmasq did not start: " << sys::read_file(dir + "/dnsmasq").value_or("");
  }

  std::vector<std::string> command(const std::string& config) {
    std::ofstream(dir + "/config.yaml") << config;
    return {kProgram,      "--source", dir + "/services", "--status-file",     dir + "/status.json",
            "--node-name", "node",     "--config",        dir + "/config.yaml"};
  }
  // Up and serving.
  void serve(const std::string& upstreams = kUpstream, const std::string& more = "",
             const std::vector<std::string>& options = {}) {
    ::unlink((dir + "/status.json").c_str());
    auto words = command("cluster-dns: " + kServer + "\nnetproxy:\n  dns:\n    upstream: [" + upstreams + "]\n" + more);
    words.insert(words.end(), options.begin(), options.end());
    proxy_pid = spawn(words, dir + "/log");
    for (int i = 0; i < 500; i++) {
      if (dig("dns-version.cluster.local TXT +tries=1 +time=1") == "\"1.1.0\"") return;
      std::this_thread::sleep_for(milliseconds(10));
    }
    FAIL() << "DNS did not start: " << log();
  }
  // Runs to its end.
  int run_once(const std::vector<std::string>& arguments) {
    pid_t pid = spawn(arguments, dir + "/log");
    int state = 0;
    ::waitpid(pid, &state, 0);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  }

  std::string in_client(const std::string& shell) {
    std::string out;
    in("client", [&] { out = trimmed(sh(shell).text); });
    return out;
  }
  // +short answers in the Pod, a line each, sorted.
  std::string dig(const std::string& question) {
    return in_client("dig +short @" + kServer + " " + question + " | sort");
  }
  // "NXDOMAIN aa" and the like.
  std::string status_of(const std::string& question) {
    return in_client("dig +noall +comments @" + kServer + " " + question +
                     " | sed -n 's/.*status: \\([A-Z]*\\),.*/\\1/p; s/^;; flags:\\([a-z ]*\\);.*/\\1/p' | tr -d '\\n'");
  }
  void wait_for(const std::string& question, const std::string& want) {
    std::string got;
    for (int i = 0; i < 1000; i++) {
      got = dig(question);
      if (got == want) return;
      std::this_thread::sleep_for(milliseconds(5));
    }
    ADD_FAILURE() << question << ": " << got << ", not " << want;
  }
  std::string addresses_of_lo() { return sh("ip -4 -o addr show dev lo").text; }
  bool has_address() { return addresses_of_lo().find(kServer) != std::string::npos; }

  pid_t upstream_pid_ = 0;
};

TEST_F(DnsTest, DigInAPodOverUdpAndTcp) {
  serve();
  struct Case {
    const char* question;
    const char* want;
  };
  const Case cases[] = {
      {"web.default.svc.cluster.local", "10.43.0.1"},
      {"web.default.svc.cluster.local AAAA", ""},
      {"_http._tcp.named.default.svc.cluster.local SRV", "0 100 80 named.default.svc.cluster.local."},
      {"db.data.svc.cluster.local", "10.42.0.5\n10.42.0.6"},
      {"db-1.db.data.svc.cluster.local", "10.42.0.6"},
      {"_pg._tcp.db.data.svc.cluster.local SRV",
       "0 50 5432 db-0.db.data.svc.cluster.local.\n0 50 5432 db-1.db.data.svc.cluster.local."},
      {"-x 10.43.0.1", "web.default.svc.cluster.local."},
      {"-x 10.42.0.5", "db-0.db.data.svc.cluster.local."},
      {"10-42-0-5.default.pod.cluster.local", "10.42.0.5"},
      {"cluster.local NS", "ns.dns.cluster.local."},
  };
  for (const auto& c : cases)
    for (const char* how : {"", " +noedns", " +tcp", " +tcp +keepopen +noedns"})
      EXPECT_EQ(dig(c.question + std::string(how)), c.want) << c.question << how;
  EXPECT_EQ(status_of("web.default.svc.cluster.local"), "NOERROR qr aa rd ra");
  EXPECT_EQ(status_of("web.default.svc.cluster.local AAAA"), "NOERROR qr aa rd ra");
  EXPECT_EQ(status_of("gone.default.svc.cluster.local"), "NXDOMAIN qr aa rd ra");
  EXPECT_EQ(status_of("version.bind CH TXT"), "REFUSED qr rd ra");
  EXPECT_EQ(status_of("web.default.svc.cluster.local +edns=1 +noednsnegotiation"), "BADVERS qr rd ra");
  // dig says so when an answer comes from another address than it asked; the node asks as the Pods do.
  EXPECT_EQ(in_client("dig @" + kServer + " web.default.svc.cluster.local | grep -c 'SERVER: 10.43.0.10#53'"), "1");
  EXPECT_EQ(trimmed(sh("dig +short @" + kServer + " web.default.svc.cluster.local").text), "10.43.0.1");
}

TEST_F(DnsTest, TheResolverOfGlibcWithASearchPath) {
  start_upstream();
  serve();
  std::ofstream(dir + "/resolv.conf") << "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver "
                                      << kServer << "\noptions ndots:5\n";
  auto getent = [&](const std::string& database, const std::string& name) {
    return in_client("unshare -m sh -c 'mount --bind " + dir + "/resolv.conf /etc/resolv.conf && getent " + database +
                     " " + name + "' | awk '{print $1}' | sort -u");
  };
  struct Case {
    const char* database;
    const char* name;
    const char* want;
  };
  const Case cases[] = {
      {"ahostsv4", "web", "10.43.0.1"},
      {"ahosts", "web", "10.43.0.1"},
      {"ahostsv4", "web.default", "10.43.0.1"},
      {"ahostsv4", "web.default.svc", "10.43.0.1"},
      {"ahostsv4", "web.default.svc.cluster.local", "10.43.0.1"},
      {"ahostsv4", "web.default.svc.cluster.local.", "10.43.0.1"},
      {"ahostsv4", "db.data", "10.42.0.5\n10.42.0.6"},
      {"ahostsv4", "db-1.db.data", "10.42.0.6"},
      {"ahostsv4", "db", ""},
      {"ahostsv4", "www.example.com", "192.0.2.7"},
      {"ahosts", "www.example.com", "192.0.2.7"},
      {"ahostsv4", "shop", "192.0.2.7"},
      {"ahostsv4", "gone.example.com", ""},
      {"ahostsv6", "web", "::ffff:10.43.0.1"},  // glibc maps what it found as IPv4: the AAAA question had no answer
      {"hosts", "10.43.0.1", "10.43.0.1"},
  };
  for (const auto& c : cases) EXPECT_EQ(getent(c.database, c.name), c.want) << c.database << " " << c.name;
}

TEST_F(DnsTest, OtherNamesAreTheUpstreams) {
  start_upstream();
  serve();
  EXPECT_EQ(dig("www.example.com"), "192.0.2.7");
  EXPECT_EQ(dig("www.example.com +tcp"), "192.0.2.7");
  EXPECT_EQ(status_of("www.example.com"), "NOERROR qr aa rd ra") << "as dnsmasq said it";
  EXPECT_EQ(status_of("gone.example.com").substr(0, 8), "NXDOMAIN");
  EXPECT_EQ(dig("shop.default.svc.cluster.local"), "192.0.2.7\nwww.example.com.");
  EXPECT_EQ(dig("shop.default.svc.cluster.local +tcp"), "192.0.2.7\nwww.example.com.");
  EXPECT_EQ(dig("shop.default.svc.cluster.local CNAME"), "www.example.com.");
  // Too long for a datagram: the upstream says TC, dig comes again over TCP, and so do we.
  auto big = in_client("dig +noedns @" + kServer + " big.example.com TXT");
  EXPECT_NE(big.find("retrying in TCP mode"), std::string::npos) << big.substr(0, 200);
  EXPECT_NE(big.find(std::string(200, 'l')), std::string::npos);
  EXPECT_EQ(status_of("+noedns +ignore big.example.com TXT").find("NOERROR qr aa tc"), 0U);
}

TEST_F(DnsTest, AnUpstreamThatIsDeadOrRefuses) {
  start_upstream();
  // One that listens and says nothing: the port is taken by a socket of this test, in the outside namespace.
  Fd silent;
  in("out", [&] {
    silent = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{.sin_family = AF_INET, .sin_port = htons(5353)};
    ::inet_pton(AF_INET, kUpstream.c_str(), &a.sin_addr);
    ASSERT_EQ(::bind(silent.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  });
  auto took = [&](const std::string& question, const std::string& want) {
    auto start = SteadyClock::now();
    EXPECT_EQ(status_of(question + " +tries=1 +time=5").substr(0, want.size()), want) << question;
    return std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
  };
  serve(kUpstream + ":5353", "    timeout-ms: 900\n");
  auto dead = took("www.example.com", "SERVFAIL");
  EXPECT_GE(dead, milliseconds(850));
  EXPECT_LT(dead, milliseconds(4800)) << "dig's own patience is 5 s";
  EXPECT_EQ(dig("web.default.svc.cluster.local"), "10.43.0.1") << "our names need no upstream";
  stop_proxy();

  serve(kUpstream + ":5353, " + kUpstream, "    timeout-ms: 9000\n");  // 3 s a try
  EXPECT_GE(took("www.example.com", "NOERROR"), milliseconds(2900)) << "the first one had its time";
  EXPECT_LT(took("www.example.com", "NOERROR"), milliseconds(2900)) << "and is asked last now";
  stop_proxy();

  serve(kUpstream + ":5354", "    timeout-ms: 30000\n");  // nobody there
  EXPECT_LT(took("www.example.com", "SERVFAIL"), milliseconds(4800));
  EXPECT_LT(took("www.example.com +tcp", "SERVFAIL"), milliseconds(4800));
  stop_proxy();

  serve(kServer, "    timeout-ms: 30000\n");  // ourselves
  EXPECT_LT(took("www.example.com", "SERVFAIL"), milliseconds(4800));
  EXPECT_NE(log().find("no upstream: this server itself"), std::string::npos);
}

TEST_F(DnsTest, ChangesAreSeen) {
  serve();
  wait_for("db.data.svc.cluster.local", "10.42.0.5\n10.42.0.6");
  endpoints({"10.42.0.5", "10.42.0.7", "10.42.0.8"});
  wait_for("db.data.svc.cluster.local", "10.42.0.5\n10.42.0.7\n10.42.0.8");
  EXPECT_EQ(dig("-x 10.42.0.6"), "");
  endpoints({});
  wait_for("db.data.svc.cluster.local", "");
  EXPECT_EQ(status_of("db.data.svc.cluster.local").substr(0, 8), "NXDOMAIN");
  write_service({.name = "late", .vip = "10.43.0.9"});
  wait_for("late.default.svc.cluster.local", "10.43.0.9");
  remove_file("late.json");
  wait_for("late.default.svc.cluster.local", "");
  EXPECT_EQ(status_of("late.default.svc.cluster.local").substr(0, 8), "NXDOMAIN");
}

TEST_F(DnsTest, TheAddressComesAndGoes) {
  ASSERT_FALSE(has_address());
  start_proxy();  // nothing said of cluster-dns
  EXPECT_FALSE(has_address()) << "DNS only where it is wanted";
  stop_proxy();
  for (int signal : {SIGTERM, SIGKILL}) {
    serve();
    EXPECT_EQ(dig("web.default.svc.cluster.local"), "10.43.0.1");
    stop_proxy(signal);
    EXPECT_TRUE(has_address()) << "it stays, as the rules do";
  }
  EXPECT_EQ(proxy_once("--cleanup").code, 0);
  EXPECT_FALSE(has_address());

  ASSERT_EQ(sh("ip addr add 10.43.0.10/32 dev lo").code, 0);
  serve();
  EXPECT_EQ(dig("web.default.svc.cluster.local"), "10.43.0.1");
  stop_proxy();
  EXPECT_EQ(proxy_once("--cleanup").code, 0);
  EXPECT_TRUE(has_address()) << "it is the administrator's";
}

TEST_F(DnsTest, ASecondOneFailsAndTheFirstGoesOn) {
  serve();
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(run_once(command("cluster-dns: " + kServer + "\n")), 1);
    EXPECT_TRUE(has_address());
    EXPECT_EQ(dig("web.default.svc.cluster.local"), "10.43.0.1");
    EXPECT_EQ(dig("web.default.svc.cluster.local +tcp"), "10.43.0.1");
  }
  EXPECT_NE(log().find("EADDRINUSE"), std::string::npos) << log();
}

TEST_F(DnsTest, PodsOfOtherNodesHaveNamesToo) {
  serve(kUpstream, "", {"--cluster-cidr", "10.42.0.0/24"});
  EXPECT_EQ(dig("10-42-9-5.default.pod.cluster.local"), "10.42.9.5");
  EXPECT_EQ(dig("10-44-9-5.default.pod.cluster.local"), "");
}

TEST_F(DnsTest, AnIPv6Address) {
  object("six", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"six"},
      "spec":{"clusterIP":"fd00:43::6","ipFamilies":["IPv6"],"ports":[{"name":"http","port":80}]}})");
  proxy_pid = spawn(command("cluster-dns: fd00:43::a\nnetproxy:\n  dns:\n    upstream: [192.0.2.100]\n"), dir + "/log");
  auto ask = [](const std::string& question) {
    return trimmed(sh("dig +short +tries=1 +time=1 @fd00:43::a " + question).text);
  };
  std::string got;
  for (int i = 0; i < 100 && got != "fd00:43::6"; i++) {
    got = ask("six.default.svc.cluster.local AAAA");
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(got, "fd00:43::6");
  EXPECT_EQ(ask("six.default.svc.cluster.local A"), "");
  EXPECT_EQ(ask("web.default.svc.cluster.local A +tcp"), "10.43.0.1");
  EXPECT_EQ(ask("-x fd00:43::6"), "six.default.svc.cluster.local.");
  EXPECT_EQ(ask("ns.dns.cluster.local AAAA"), "fd00:43::a");
  stop_proxy();
  EXPECT_NE(sh("ip -6 -o addr show dev lo").text.find("fd00:43::a"), std::string::npos);
  EXPECT_EQ(proxy_once("--cleanup").code, 0);
  EXPECT_EQ(sh("ip -6 -o addr show dev lo").text.find("fd00:43::a"), std::string::npos);
}

TEST_F(DnsTest, APortThatIsTakenEndsTheStart) {
  ASSERT_EQ(sh("ip addr add 10.43.0.10/32 dev lo").code, 0);
  for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Fd other(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    sockaddr_in any{.sin_family = AF_INET, .sin_port = htons(53)};
    ASSERT_EQ(::bind(other.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    ASSERT_TRUE(type == SOCK_DGRAM || ::listen(other.get(), 1) == 0);
    ::unlink((dir + "/log").c_str());
    EXPECT_EQ(run_once(command("cluster-dns: 10.43.0.10\n")), 1);
    auto want = std::string("bind 10.43.0.10:53/") + (type == SOCK_DGRAM ? "udp" : "tcp") + ": EADDRINUSE";
    EXPECT_NE(log().find(want), std::string::npos) << log();
    EXPECT_EQ(sh("nft list ruleset").text, "") << "nothing was changed";
  }
  EXPECT_TRUE(has_address());
}

}  // namespace
}  // namespace podshim::test
