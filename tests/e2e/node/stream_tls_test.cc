// The daemon's streaming server with TLS, and clients that verify its certificate; clients that go wrong; certificates
// and keys that cannot be.
#include <fcntl.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/node_suite.h"
#include "tests/unit/shim-streaming/talk.h"
#include "tests/unit/shim-streaming/tls_wire.h"

namespace podshim::test {
namespace {

namespace st = streaming::test;
using std::chrono::milliseconds;

// An authority, a server's certificate of its making for 127.0.0.1, and keys of every wrong kind.
constexpr const char* kMakeKeys = R"(cd "$1" && umask 077 &&
ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }
ec ca.key && ec server.key && ec other.key && openssl genrsa -out rsa.key 2048 &&
openssl req -x509 -key ca.key -subj "/CN=test authority" -days 2 -out ca.pem &&
openssl req -x509 -key other.key -subj "/CN=another authority" -days 2 -out other-ca.pem &&
openssl req -x509 -CA ca.pem -CAkey ca.key -key server.key -subj /CN=podshim -days 2 \
  -addext "subjectAltName=IP:127.0.0.1" -addext "basicConstraints=critical,CA:FALSE" -out server.pem &&
openssl pkey -in server.key -aes256 -passout pass:secret -out locked.key &&
echo "this is no key" >garbage.pem)";

std::unique_ptr<Node> node_with_keys() {
  auto node = std::make_unique<Node>();
  const auto made = node->run({"sh", "-c", kMakeKeys, "sh", node->dir()});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  return node;
}

void use_tls(const Node& node, const std::string& certificate, const std::string& key) {
  std::ofstream(node.config_file(), std::ios::app) << "  streaming:\n    tls-cert: " << node.dir() << "/" << certificate
                                                   << "\n    tls-key: " << node.dir() << "/" << key << "\n";
}

class StreamTls : public NodeSuite {
 public:
  static void SetUpTestSuite() {
    ASSERT_NE(find_tool("openssl"), "");
    node = node_with_keys();
    use_tls(*node, "server.pem", "server.key");
    ASSERT_TRUE(node->start_daemon()) << node->log();
    const auto imported = node->import_image(image_archive("probe.tar"));
    ASSERT_EQ(imported.exit_code, 0) << imported.err << imported.out;
  }

 protected:
  void SetUp() override {
    pod_ = run_pod();
    auto config = container_config("target", kProbe, {"sh", "-c", "/bin/probe serve & exec cat"});
    config.set_stdin(true);
    target_ = start(pod_, config);
  }

  // The streaming address is inside the node's network namespace.
  static void inside(const std::function<void()>& clients) {
    std::thread thread([&] {
      const Fd netns(::open(node->netns_path().c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(::setns(netns.get(), CLONE_NEWNET), 0);
      clients();
    });
    thread.join();
  }

  std::string exec_url(const std::vector<std::string>& command) {
    cri::ExecRequest request;
    request.set_container_id(target_);
    for (const auto& word : command) request.add_cmd(word);
    request.set_stdin(true);
    request.set_stdout(true);
    cri::ExecResponse response;
    const auto status = node->cri().call(&cri::RuntimeService::Stub::Exec, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.url();
  }
  std::string attach_url() {
    cri::AttachRequest request;
    request.set_container_id(target_);
    request.set_stdin(true);
    request.set_stdout(true);
    cri::AttachResponse response;
    const auto status = node->cri().call(&cri::RuntimeService::Stub::Attach, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.url();
  }
  std::string forward_url() {
    cri::PortForwardRequest request;
    request.set_pod_sandbox_id(pod_.id);
    cri::PortForwardResponse response;
    const auto status = node->cri().call(&cri::RuntimeService::Stub::PortForward, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.url();
  }
  static std::string authority() { return node->dir() + "/ca.pem"; }

  static std::size_t daemon_fds() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(node->daemon_pid()) + "/fd"))
      n++;
    return n;
  }

  Pod pod_;
  std::string target_;
};

constexpr StreamRequest kInOut{.in = true, .out = true};

TEST_F(StreamTls, ExecOverSpdyAndWebSocket) {
  std::string bytes;
  for (long i = 0; bytes.size() < (2 << 20); i++) bytes += std::to_string(i * 7919) + ",";
  const std::vector<std::string> command{"sh", "-c", "cat; exit 3"};
  for (const bool websocket : {false, true}) {
    SCOPED_TRACE(websocket);
    const auto url = exec_url(command);
    ASSERT_TRUE(url.starts_with("https://127.0.0.1:")) << url;
    inside([&] {
      st::TlsWire wire(url, authority());
      ASSERT_EQ(wire.refused(), "");
      const st::Talk talk{
          .url = url, .protocol = "v5.channel.k8s.io", .streams = kInOut, .input = bytes, .end_input = true};
      const auto out = websocket ? st::talk_websocket_over(wire, talk) : st::talk_spdy_over(wire, talk);
      EXPECT_TRUE(out.out == bytes) << out.out.size();
      EXPECT_NE(out.error.find(R"({"reason":"ExitCode","message":"3"})"), std::string::npos) << out.error;
      EXPECT_TRUE(wire.closed_by_server());
      EXPECT_TRUE(wire.ended_well()) << "no close_notify";
    });
  }
}

TEST_F(StreamTls, AttachIsALoopThroughTheContainer) {
  const auto url = attach_url();
  inside([&] {
    st::TlsWire wire(url, authority());
    ASSERT_EQ(wire.refused(), "");
    ASSERT_EQ(st::upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
    st::SpdyClient client(wire);
    client.open({{"streamtype", "error"}});
    const auto in = client.open({{"streamtype", "stdin"}}), out = client.open({{"streamtype", "stdout"}});
    client.send(in, "through and back\n");
    EXPECT_TRUE(client.until([&] { return client.data[out].ends_with("through and back\n"); }));
  });
}

TEST_F(StreamTls, PortForwardReachesThePodsServer) {
  const auto url = forward_url();
  inside([&] {
    st::TlsWire wire(url, authority());
    ASSERT_EQ(wire.refused(), "");
    ASSERT_EQ(st::upgrade_spdy(wire, {"portforward.k8s.io"}), 101);
    st::SpdyClient client(wire);
    for (const char* request : {"1", "2"}) {
      const auto open = [&](const char* type) {
        return client.open({{"streamtype", type}, {"port", "8080"}, {"requestid", request}});
      };
      const auto error = open("error"), data = open("data");
      client.send(data, "GET /client HTTP/1.0\r\nHost: pod\r\n\r\n");
      ASSERT_TRUE(client.until_ended(data));
      EXPECT_TRUE(client.data[data].starts_with("HTTP/1.1 200 ")) << client.data[data];
      EXPECT_EQ(client.data[error], "");
    }
  });
}

TEST_F(StreamTls, AClientThatTrustsSomebodyElseLeaves) {
  const auto url = exec_url({"true"});
  inside([&] {
    const st::TlsWire wire(url, node->dir() + "/other-ca.pem");
    EXPECT_NE(wire.refused().find("certificate"), std::string::npos) << wire.refused();
  });
}

TEST_F(StreamTls, WhoSpeaksNoTlsGetsNoSessionAndLeavesNothing) {
  const auto before = daemon_fds();
  const auto url = exec_url({"touch", "/tmp/was-here"});
  inside([&] {
    st::Wire plain(url);
    plain.send("POST " + plain.path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
    while (plain.receive()) {
    }
    EXPECT_EQ(plain.received.find("HTTP/"), std::string::npos) << "an answer without TLS";
    for (const std::string hello : {"", "\x16\x03\x01\x02", "\x16\x03\x01\xff\xff\x01\xff\xff\xff", "SSH-2.0-x\r\n"})
      for (const bool reset : {false, true}) {
        st::Wire wire(url);
        wire.send(hello);
        if (reset) wire.reset();
      }
  });
  // Accepted and let go, all nine: the daemon has no descriptor more than before.
  std::size_t after = 0;
  for (int i = 0; i < 300 * slowness() && (after = daemon_fds()) > before; i++)
    std::this_thread::sleep_for(milliseconds(50));
  EXPECT_LE(after, before);
  EXPECT_EQ(shell(target_, "ls /tmp"), "");
  inside([&] {  // the URL is still good: nobody has shown its token
    st::TlsWire wire(url, authority());
    ASSERT_EQ(wire.refused(), "");
    const auto out = st::talk_spdy_over(wire, {.url = url, .protocol = "v4.channel.k8s.io", .streams = kInOut});
    EXPECT_NE(out.error.find("Success"), std::string::npos) << out.error;
  });
  EXPECT_EQ(shell(target_, "ls /tmp"), "was-here\n");
}

TEST(StreamTlsStart, WhatCannotBeIsNamedByFieldAndFile) {
  const struct {
    const char *certificate, *key, *field, *why;
  } cases[] = {
      {"server.pem", "missing.key", "tls-key", "No such file"},
      {"server.pem", "garbage.pem", "tls-key", ""},
      {"server.pem", "other.key", "tls-key", "mismatch"},
      {"server.pem", "rsa.key", "tls-key", "is not the key of tls-cert"},
      {"server.pem", "locked.key", "tls-key", "not encrypted"},
      {"missing.pem", "server.key", "tls-cert", "No such file"},
      {"garbage.pem", "server.key", "tls-cert", ""},
  };
  for (const auto& c : cases) {
    const auto node = node_with_keys();
    use_tls(*node, c.certificate, c.key);
    EXPECT_FALSE(node->start_daemon());
    const auto log = node->log();
    const auto line = log.find("cannot serve");
    ASSERT_NE(line, std::string::npos) << log;
    const std::string file = node->dir() + "/" + (std::string(c.field) == "tls-key" ? c.key : c.certificate);
    EXPECT_NE(log.find(std::string("load ") + c.field + " " + file, line), std::string::npos) << log.substr(line);
    EXPECT_NE(log.find(c.why, line), std::string::npos) << c.why << ": " << log.substr(line);
    EXPECT_NE(log.find("start the streaming server", line), std::string::npos) << log.substr(line);
    node->stop_daemon(SIGTERM);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
  }
}

TEST(StreamTlsStart, ACertificateWithoutKeyIsAMistakeOfTheConfiguration) {
  const auto node = node_with_keys();
  std::ofstream(node->config_file(), std::ios::app) << "  streaming:\n    tls-cert: " << node->dir() << "/server.pem\n";
  const auto started = node->run({program("podshim"), "--config", node->config_file()});
  EXPECT_EQ(started.exit_code, 2);
  EXPECT_NE(started.err.find("tls-key: tls-cert and tls-key belong together"), std::string::npos) << started.err;
}

}  // namespace
}  // namespace podshim::test
