// Against the kernel, without root: the prober on loopback, the control socket, the object source.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <future>
#include <thread>

#include "fakes.h"
#include "podlet/client.h"
#include "podlet/commands.h"
#include "podlet/control.h"

namespace podshim::podlet {
namespace {

using std::chrono::milliseconds;

// Answers each connection with a fixed text; "" = says nothing.
class Server {
 public:
  explicit Server(std::string text)
      : text_(std::move(text)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    socklen_t size = sizeof a;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &size);
    port = ntohs(a.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  int port = 0;
  std::string request;

 private:
  void serve() {
    for (;;) {
      Fd c(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!c) return;
      if (text_.empty()) {
        silent_.push_back(std::move(c));
        continue;
      }
      char buffer[1024];
      ssize_t n = ::recv(c.get(), buffer, sizeof buffer, 0);
      if (n > 0) request.assign(buffer, static_cast<std::size_t>(n));
      (void)!::send(c.get(), text_.data(), text_.size(), MSG_NOSIGNAL);
    }
  }
  std::string text_;
  Fd listener_;
  std::vector<Fd> silent_;
  std::thread thread_;
};

ProbeResult probe(Prober& prober, bool http, int port, milliseconds timeout = milliseconds(20'000),
                  std::string request = {}) {
  std::promise<ProbeResult> promise;
  if (request.empty()) request = http_request({.path = "/ready"}, "127.0.0.1", port);
  prober.start(
      {.http = http, .address = *IpAddress::parse("127.0.0.1"), .port = port, .request = request, .timeout = timeout},
      [&](ProbeResult r) { promise.set_value(std::move(r)); });
  return promise.get_future().get();
}

TEST(Prober, Http) {
  struct Case {
    const char* answer;
    bool success;
    const char* message;
  };
  const Case cases[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, ""},
                        {"HTTP/1.0 204 x\r\n\r\n", true, ""},
                        {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", true, ""},
                        {"HTTP/1.1 404 Not Found\r\n\r\nno such page\n", false, "HTTP 404: no such page"},
                        {"HTTP/1.1 503 Busy\r\n\r\n", false, "HTTP 503"},
                        {"SSH-2.0-x\r\n", false, "the answer is not HTTP"}};
  Prober prober;
  for (const auto& c : cases) {
    Server server(c.answer);
    auto result = probe(prober, true, server.port);
    EXPECT_EQ(result.success(), c.success) << c.answer;
    EXPECT_EQ(result.message, c.message) << c.answer;
  }
}

TEST(Prober, RequestText) {
  auto text = http_request({.path = "/a?b=c", .headers = {{"host", "x"}, {"X-Y", "z"}}}, "10.42.0.5", 80);
  EXPECT_EQ(text,
            "GET /a?b=c HTTP/1.1\r\nhost: x\r\nX-Y: z\r\nUser-Agent: kube-probe/podlet\r\nAccept: */*\r\nConnection: "
            "close\r\n\r\n");
}

TEST(Prober, TcpRefusedAndSilent) {
  Prober prober;
  int closed = 0;
  {
    Server server("x");
    closed = server.port;
    EXPECT_TRUE(probe(prober, false, server.port).success());
  }
  auto refused = probe(prober, false, closed);
  EXPECT_NE(refused.message.find("ECONNREFUSED"), std::string::npos) << refused.message;
  Server silent("");
  auto began = std::chrono::steady_clock::now();
  auto late = probe(prober, true, silent.port, milliseconds(100));
  EXPECT_NE(late.message.find("no answer of 127.0.0.1"), std::string::npos) << late.message;
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(10'000));
}

// A hanging peer holds nobody else up.
TEST(Prober, ManyAtOnce) {
  std::atomic<int> timeouts = 0;
  Prober prober;
  Server silent(""), good("HTTP/1.1 200 OK\r\n\r\n");
  for (int i = 0; i < 50; i++)
    prober.start({.http = true,
                  .address = *IpAddress::parse("127.0.0.1"),
                  .port = silent.port,
                  .request = "GET / HTTP/1.1\r\n\r\n",
                  .timeout = milliseconds(3000)},
                 [&](const ProbeResult&) { timeouts++; });
  for (int i = 0; i < 20; i++) EXPECT_TRUE(probe(prober, true, good.port).success());
  EXPECT_EQ(timeouts, 0);
  for (int i = 0; i < 3000 && timeouts != 50; i++) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(timeouts, 50);
}

TEST(Control, AskAndAnswer) {
  TempDir dir;
  auto path = (dir.path / "podlet.sock").string();
  EXPECT_EQ(ask(path, json::Value::object()).error().kind, ErrorKind::unavailable);
  WorkerPool pool;
  ControlServer server(pool, [](const json::Value& request) {
    return json::Value::object().set("exit", 0).set("output", "heard " + json::dump(request));
  });
  ASSERT_TRUE(server.listen(path));
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  auto answer = ask(path, json::Value::object().set("verb", std::string(1 << 20, 'x')));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_GT(answer->find("output")->as_string().size(), 1u << 20);
  ControlServer second(pool, [](const json::Value&) { return json::Value(); });
  EXPECT_EQ(second.listen(path).error().kind, ErrorKind::already_exists);
}

TEST(Control, RubbishDoesNotHurt) {
  TempDir dir;
  auto path = (dir.path / "podlet.sock").string();
  WorkerPool pool;
  ControlServer server(pool, [](const json::Value&) { return json::Value::object().set("exit", 0); });
  ASSERT_TRUE(server.listen(path));
  for (std::string bytes :
       {std::string("\xff\xff\xff\xff"), std::string("\x03\x00\x00\x00{{{", 7), std::string("\x01", 1)}) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strcpy(a.sun_path, path.c_str());
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  EXPECT_TRUE(ask(path, json::Value::object()));
}

TEST(WorkerPool, LanesDoNotBlockEachOther) {
  const Lane lanes[] = {Lane::work, Lane::slow, Lane::stop, Lane::probe, Lane::control, Lane::observe};
  for (auto blocked : lanes) {
    std::promise<void> release;
    auto gate = release.get_future().share();
    WorkerPool pool;
    for (int i = 0; i < 100; i++) pool.submit(blocked, [gate] { gate.wait(); });
    for (auto other : lanes) {
      if (other == blocked) continue;
      auto done = std::make_shared<std::promise<void>>();
      auto future = done->get_future();
      pool.submit(other, [done] { done->set_value(); });
      EXPECT_EQ(future.wait_for(std::chrono::seconds(5)), std::future_status::ready)
          << static_cast<int>(other) << " waits for " << static_cast<int>(blocked);
    }
    release.set_value();
  }
}

// "gone" is no answer to a kind that does not exist.
TEST(Wait, MisspelledKindIsBadUsage) {
  TempDir dir;
  WorkerPool pool;
  ControlServer server(pool, [](const json::Value& request) {
    bool known = request.find("kind")->as_string() == "pod";
    return known ? answer_error("there is none") : answer_error("podz: is no kind that podlet knows", 2);
  });
  auto state = dir.path.string();
  ASSERT_TRUE(server.listen(socket_path(state)));
  for (const char* condition : {"delete", "ready"}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(wait_for(state, {.kind = "podz", .name = "x", .name_space = "default", .condition = condition}), 2);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("podz"), std::string::npos);
  }
  EXPECT_EQ(wait_for(state, {.kind = "pod", .name = "x", .name_space = "default", .condition = "delete"}), 0);
}

TEST(ObjectSource, FilesComeGoAndCollide) {
  TempDir dir;
  auto path = dir.path / "m";
  std::filesystem::create_directories(path);
  auto write = [&](const char* name, const std::string& text) { std::ofstream(path / name) << text; };
  auto map = [](const char* name, const char* value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + std::string(name) + "}\ndata: {k: " + value + "}\n";
  };
  ObjectSource source(path, dir.path / "applied");
  EXPECT_FALSE(source.scan().changed);
  write("a.yaml", map("x", "one"));
  write("notes.txt", "no manifest");
  write(".hidden.yaml", map("h", "h"));
  EXPECT_TRUE(source.scan().changed);
  EXPECT_EQ(source.objects().size(), 1u);
  EXPECT_FALSE(source.scan().changed);
  write("b.yaml", map("x", "two"));
  auto collided = source.scan();
  ASSERT_EQ(collided.errors.size(), 1u);
  EXPECT_NE(collided.errors[0].find("already declared in a.yaml"), std::string::npos);
  write("a.yaml", "{");  // broken: it keeps what it said
  EXPECT_FALSE(source.scan().errors.empty());
  EXPECT_EQ(std::get<kube::ConfigMap>(source.objects().begin()->second.value).data.at("k"), "one");
  auto m = decode_manifest(map("y", "three"), "stdin");
  ASSERT_TRUE(source.put(m.objects[0]));
  source.scan();
  EXPECT_EQ(source.objects().size(), 2u);
  EXPECT_EQ(source.put(decode_manifest(map("x", "z"), "s").objects[0]).error().kind, ErrorKind::already_exists);
  EXPECT_EQ(source.remove({"ConfigMap", "default", "x"}).error().kind, ErrorKind::failed_precondition);
  EXPECT_EQ(source.remove({"ConfigMap", "default", "q"}).error().kind, ErrorKind::not_found);
  EXPECT_TRUE(source.remove({"ConfigMap", "default", "y"}));
  source.scan();
  EXPECT_EQ(source.objects().size(), 1u);
  std::filesystem::remove_all(path);  // the whole directory goes: nothing changes
  EXPECT_FALSE(source.scan().errors.empty());
  EXPECT_EQ(source.objects().size(), 1u);
}

TEST(Logs, CriLines) {
  auto line = parse_log_line("2026-01-02T03:04:05.000000001Z stdout F hello world");
  EXPECT_EQ(line.text, "hello world");
  EXPECT_TRUE(line.complete);
  EXPECT_EQ(line.time, "2026-01-02T03:04:05.000000001Z");
  EXPECT_FALSE(parse_log_line("t stderr P part").complete);
  EXPECT_TRUE(parse_log_line("t stderr F ").to_stderr);
  EXPECT_EQ(parse_log_line("odd").text, "odd");
}

TEST(View, SelectorsAndTables) {
  auto s = parse_selector("app=web,tier!=back,env,!old");
  ASSERT_TRUE(s);
  EXPECT_TRUE(s->matches({{"app", "web"}, {"env", "x"}}));
  EXPECT_FALSE(s->matches({{"app", "web"}, {"env", "x"}, {"tier", "back"}}));
  EXPECT_FALSE(s->matches({{"app", "web"}, {"env", "x"}, {"old", ""}}));
  EXPECT_FALSE(s->matches({{"app", "web"}}));
  EXPECT_FALSE(parse_selector("a b=c"));
  EXPECT_EQ(table({"A", "LONG"}, {{"xx", "y"}}), "A    LONG\nxx   y\n");
}

}  // namespace
}  // namespace podshim::podlet
