// What is counted, its text form by a strict reader, and the page over HTTP.
#include "shim/metrics/metrics.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "common/fd.h"
#include "shim/metrics/http.h"
#include "tests/support/few_descriptors.h"

namespace podshim {
namespace {

using namespace std::chrono_literals;

// The text format 0.0.4 as a strict reader takes it: HELP and TYPE once and before the samples of their family, names
// and labels well-formed, no series twice, histograms cumulative and ending in +Inf = count.
std::map<std::string, double> read_strictly(const std::string& text) {
  static const std::regex sample(
      R"re(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$)re");
  std::map<std::string, double> out;
  std::map<std::string, std::string> types;
  std::set<std::string> helped;
  std::istringstream lines(text);
  EXPECT_TRUE(text.empty() || text.ends_with('\n'));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, value;
    if (line.starts_with('#')) {
      words >> hash >> kind >> name >> value;
      if (kind == "HELP") {
        EXPECT_TRUE(helped.insert(name).second) << line;
      }
      if (kind == "TYPE") {
        EXPECT_TRUE(types.emplace(name, value).second) << line;
      }
      continue;
    }
    std::smatch parts;
    EXPECT_TRUE(std::regex_match(line, parts, sample)) << line;
    std::string family = parts[1];
    for (const char* end : {"_bucket", "_sum", "_count"})
      if (family.ends_with(end) && types.contains(family.substr(0, family.size() - std::string(end).size())))
        family.resize(family.size() - std::string(end).size());
    EXPECT_TRUE(types.contains(family) && helped.contains(family)) << line;
    EXPECT_TRUE(out.emplace(parts[1].str() + parts[2].str(), std::stod(parts[5])).second) << "twice: " << line;
  }
  return out;
}

TEST(Metrics, CountsByLabels) {
  Metrics metrics;
  metrics.rpc("Version", "OK", 80us);
  metrics.rpc("Version", "OK", 3ms);
  metrics.rpc("RunPodSandbox", "UNAVAILABLE", 20s);
  metrics.stage("RunPodSandbox", "cni/bridge", 2ms);
  const auto seen = read_strictly(metrics.text({}));
  const std::string rpc = "podshim_cri_request_duration_seconds";
  EXPECT_EQ(seen.at(rpc + R"(_count{code="OK",method="Version"})"), 2);
  EXPECT_NEAR(seen.at(rpc + R"(_sum{code="OK",method="Version"})"), 0.00308, 1e-9);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="OK",method="Version",le="0.0001"})"), 1);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="OK",method="Version",le="0.0025"})"), 1);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="OK",method="Version",le="0.005"})"), 2);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="OK",method="Version",le="+Inf"})"), 2);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="UNAVAILABLE",method="RunPodSandbox",le="10"})"), 0);
  EXPECT_EQ(seen.at(rpc + R"(_bucket{code="UNAVAILABLE",method="RunPodSandbox",le="60"})"), 1);
  EXPECT_EQ(seen.at(R"(podshim_stage_duration_seconds_count{operation="RunPodSandbox",stage="cni/bridge"})"), 1);
}

TEST(Metrics, GaugesAreThoseOfTheMoment) {
  Metrics metrics;
  const auto text =
      metrics.text({{.name = "podshim_sandboxes",
                     .help = "Sandboxes by state.",
                     .values = {{.labels = {{"state", "ready"}}, .value = 3},
                                {.labels = {{"state", "a \"quoted\"\nword\\"}}, .value = 0.5}}},
                    {.name = "podshim_x_total", .help = "X.", .values = {{.value = 7}}, .counter = true}});
  const auto seen = read_strictly(text);
  EXPECT_EQ(seen.at(R"(podshim_sandboxes{state="ready"})"), 3);
  EXPECT_EQ(seen.at(R"(podshim_sandboxes{state="a \"quoted\"\nword\\"})"), 0.5);
  EXPECT_EQ(seen.at("podshim_x_total"), 7);
  EXPECT_NE(text.find("# TYPE podshim_x_total counter"), std::string::npos);
}

TEST(Metrics, ManyThreadsLoseNothing) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++)
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; i++) metrics.rpc("M" + std::to_string(i % 7), "OK", 1us);
    });
  for (int i = 0; i < 20; i++) read_strictly(metrics.text({}));
  for (auto& t : threads) t.join();
  double all = 0;
  for (const auto& [name, value] : read_strictly(metrics.text({})))
    if (name.starts_with("podshim_cri_request_duration_seconds_count")) all += value;
  EXPECT_EQ(all, 40'000);
}

class Page : public testing::Test {
 protected:
  void SetUp() override {
    auto started = MetricsServer::start(*IpAddress::parse("127.0.0.1"), 0, [this] {
      asked++;
      return "podshim_up 1\n" + std::string(filler, '#');
    });
    ASSERT_TRUE(started.has_value()) << started.error().text();
    server = *std::move(started);
  }
  Fd connect() {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(server->port()), .sin_addr = {}, .sin_zero = {}};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // All that comes until the other side ends.
  static std::string read_all(const Fd& fd) {
    std::string out;
    char buffer[4096];
    for (;;) {
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return out;
      out.append(buffer, static_cast<std::size_t>(n));
    }
  }
  std::string ask(const std::string& request) {
    const Fd fd = connect();
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return read_all(fd);
  }
  std::atomic<int> asked{0};
  std::size_t filler = 0;
  std::unique_ptr<MetricsServer> server;
};

TEST_F(Page, AnswersGetOfMetricsAlone) {
  struct Case {
    const char *request, *status;
    bool asks, body;
  };
  const std::string long_header = "GET /metrics HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n";
  const Case cases[] = {
      {"GET /metrics HTTP/1.0\r\n\r\n", "200", true, true},
      {"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", true, true},
      {"HEAD /metrics HTTP/1.0\r\n\r\n", "200", true, false},
      {"GET / HTTP/1.0\r\n\r\n", "404", false, false},
      {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", false, false},
      {"GARBAGE\r\n\r\n", "", false, false},
      {long_header.c_str(), "", false, false},
  };
  for (const auto& c : cases) {
    const int before = asked;
    const auto answer = ask(c.request);
    const std::string shown = std::string(c.request).substr(0, 60);
    if (*c.status == '\0') {
      EXPECT_TRUE(answer.empty()) << shown << answer;
    } else {
      EXPECT_EQ(answer.substr(9, 3), c.status) << shown;
    }
    EXPECT_EQ(asked - before, c.asks ? 1 : 0) << shown;
    EXPECT_EQ(answer.ends_with("\r\n\r\npodshim_up 1\n"), c.body) << shown << answer;
    if (c.asks) {
      EXPECT_NE(answer.find("text/plain; version=0.0.4"), std::string::npos);
    }
  }
}

TEST_F(Page, AConnectionMayAskAgain) {
  const std::string ask_on = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string last = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const auto answer = ask(ask_on + ask_on + last);  // pipelined
  std::size_t count = 0;
  for (auto at = answer.find("HTTP/1.1 200"); at != std::string::npos; at = answer.find("HTTP/1.1 200", at + 1))
    count++;
  EXPECT_EQ(count, 3U) << answer;
}

// Those that say nothing are so many at most, and hold up neither the next ones nor the end.
TEST_F(Page, SilentConnectionsAreBounded) {
  filler = 4 << 20;
  std::vector<Fd> silent;
  for (std::size_t i = 0; i < MetricsServer::kConnections; i++) silent.push_back(connect());
  const std::string half = "GET /metrics HTTP/1.1\r\nHo";
  for (std::size_t i = 0; i < 10; i++) ::send(silent[i].get(), half.data(), half.size(), MSG_NOSIGNAL);
  EXPECT_EQ(read_all(connect()), "");  // one too many
  silent.pop_back();
  std::string answer;
  for (int i = 0; i < 2000 && answer.empty(); i++) {  // until the server saw it go
    answer = ask("GET /metrics HTTP/1.0\r\n\r\n");
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_GT(answer.size(), 4U << 20);
  server.reset();
}

#ifndef PODSHIM_SANITIZED
// Not with sanitizers: UBSan looks at an object through a pipe of its own, and there is none to be had then.
// The library throws then.
TEST(MetricsServer, FailsToStartWithoutDescriptors) {
  int failed = 0;
  for (unsigned more = 0; more < 8; more++) {
    const podshim::test::FewDescriptors few(more);
    if (!MetricsServer::start(*IpAddress::parse("127.0.0.1"), 0, [] { return std::string(); })) failed++;
  }
  EXPECT_GT(failed, 1);
  EXPECT_LT(failed, 8);
}
#endif

TEST(MetricsServer, SaysWhereItCannotListen) {
  auto first = MetricsServer::start(*IpAddress::parse("127.0.0.1"), 0, [] { return std::string(); });
  ASSERT_TRUE(first.has_value());
  auto second = MetricsServer::start(*IpAddress::parse("127.0.0.1"), (*first)->port(), [] { return std::string(); });
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().is(EADDRINUSE)) << second.error().text();
  EXPECT_NE(second.error().text().find("bind 127.0.0.1 port "), std::string::npos) << second.error().text();
}

}  // namespace
}  // namespace podshim
