// crictl, which is not ours, drives the server over a fake runtime through a whole life of a Pod. CRICTL or PATH says
// where it is.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/json.h"
#include "common/sys/file.h"
#include "tests/root/shim-cri/server_fixture.h"

extern char** environ;

namespace podshim::test {
namespace {

std::string find_crictl() {
  if (const char* path = std::getenv("CRICTL")) return path;
  std::stringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
  for (std::string at; std::getline(path, at, ':');)
    if (::access((at + "/crictl").c_str(), X_OK) == 0) return at + "/crictl";
  return "";
}

class Crictl : public ServerTest {
 protected:
  struct Output {
    int code = -1;
    std::string text;
  };

  void SetUp() override {
    program = find_crictl();
    if (program.empty()) GTEST_SKIP() << "crictl is neither in PATH nor named by CRICTL: CRI was not driven by it";
    ServerTest::SetUp();
    write("pod.json", R"({"metadata":{"name":"web","uid":"u1","namespace":"default","attempt":1},
      "hostname":"web","log_directory":"/tmp/logs","labels":{"app":"web"},"annotations":{"abc":"def"},
      "port_mappings":[{"container_port":80,"host_port":8080}],"linux":{"cgroup_parent":"/podshim-test"}})");
    write("container.json", R"({"metadata":{"name":"app"},"image":{"image":"example.com/app:1"},
      "command":["sleep","1000"],"log_path":"app.log","labels":{"tier":"front"},"linux":{}})");
  }

  void write(const std::string& name, const std::string& text) { std::ofstream(dir + "/" + name) << text; }

  // `input` becomes standard input.
  Output run(std::vector<std::string> arguments, const std::string& input = "/dev/null") {
    arguments.insert(arguments.begin(),
                     {program, "--config", dir + "/none.yaml", "--runtime-endpoint", "unix://" + socket,
                      "--image-endpoint", "unix://" + socket, "--timeout", "20s"});
    write("none.yaml", "timeout: 20\n");
    const std::string file = dir + "/out";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
    if (in_terminal) {
      std::string line;
      for (const auto& a : arguments) line += a + " ";
      arguments = {"/usr/bin/script", "-qec", line, "/dev/null"};
    }
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    const int err = ::posix_spawn(&pid, arguments[0].c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(err, 0);
    int status = 0;
    ::waitpid(pid, &status, 0);
    auto text = sys::read_file(file);
    return {WEXITSTATUS(status), text ? *text : ""};
  }
  std::string word(std::vector<std::string> arguments) {
    auto out = run(std::move(arguments));
    EXPECT_EQ(out.code, 0) << out.text;
    while (!out.text.empty() && out.text.back() == '\n') out.text.pop_back();
    return out.text;
  }
  std::string program;
  bool in_terminal = false;
};

TEST_F(Crictl, LifeOfAPod) {
  EXPECT_NE(word({"version"}).find("RuntimeName:  podshim"), std::string::npos);
  const auto info = json::parse(word({"info"}));
  ASSERT_TRUE(info.has_value());
  EXPECT_NE(info->find("config"), nullptr);

  const auto pod = word({"runp", dir + "/pod.json"});
  ASSERT_EQ(pod.size(), 64u) << pod;
  EXPECT_EQ(word({"pods", "-q"}), pod);
  EXPECT_EQ(word({"pods", "-q", "--label", "app=web", "--state", "ready"}), pod);
  EXPECT_EQ(word({"pods", "-q", "--label", "app=db"}), "");
  EXPECT_EQ(word({"pods", "-q", "--id", pod.substr(0, 13)}), pod);
  EXPECT_EQ(word({"pods", "-q", "--state", "notready"}), "");
  const auto inspected = json::parse(word({"inspectp", pod.substr(0, 13)}));
  ASSERT_TRUE(inspected.has_value());
  EXPECT_EQ(inspected->find("status")->find("annotations")->find("abc")->as_string(), "def");
  EXPECT_EQ(inspected->find("status")->find("network")->find("ip")->as_string(), "10.42.0.2");
  EXPECT_EQ(inspected->find("info")->find("pid")->as_integer(), 4242);

  const auto container = word({"create", pod, dir + "/container.json", dir + "/pod.json"});
  ASSERT_EQ(container.size(), 64u) << container;
  EXPECT_EQ(word({"ps", "-q"}), "");  // running ones only
  EXPECT_EQ(word({"ps", "-a", "-q"}), container);
  EXPECT_EQ(run({"start", container}).code, 0);
  EXPECT_EQ(word({"ps", "-q", "--pod", pod, "--label", "tier=front"}), container);
  EXPECT_EQ(word({"exec", "--sync", container, "echo", "hello", "world"}), "hello world");
  const auto failed = run({"exec", "--sync", container, "fail", "3"});
  EXPECT_NE(failed.code, 0);
  EXPECT_NE(failed.text.find("failed"), std::string::npos) << failed.text;
  const auto status = json::parse(word({"inspect", container}));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->find("status")->find("state")->as_string(), "CONTAINER_RUNNING");
  EXPECT_EQ(status->find("status")->find("logPath")->as_string(), "/tmp/logs/app.log");
  EXPECT_NE(word({"stats", "-o", "json"}).find(container), std::string::npos);

  EXPECT_EQ(run({"stop", container}).code, 0);
  EXPECT_EQ(run({"stop", container}).code, 0);
  EXPECT_EQ(word({"ps", "-a", "-q", "--state", "exited"}), container);
  EXPECT_EQ(run({"rm", container}).code, 0);
  EXPECT_EQ(run({"stopp", pod}).code, 0);
  EXPECT_EQ(word({"pods", "-q", "--state", "notready"}), pod);
  EXPECT_EQ(run({"rmp", pod}).code, 0);
  EXPECT_EQ(word({"pods", "-q"}), "");
}

TEST_F(Crictl, Images) {
  EXPECT_EQ(word({"images", "-q"}), "sha256:" + std::string(64, '1'));
  const auto image = json::parse(word({"inspecti", "example.com/app:1"}));
  ASSERT_TRUE(image.has_value());
  EXPECT_EQ(image->find("status")->find("repoTags")->as_array()[0].as_string(), "example.com/app:1");
  EXPECT_EQ(run({"pull", "example.com/app:1"}).code, 0);
  const auto pull = run({"pull", "example.com/none:1"});
  EXPECT_NE(pull.code, 0);
  EXPECT_NE(pull.text.find("podshim image import"), std::string::npos) << pull.text;
  EXPECT_EQ(run({"imagefsinfo"}).code, 0);
  EXPECT_EQ(run({"rmi", "example.com/app:1"}).code, 0);
  EXPECT_EQ(word({"images", "-q"}), "");
}

TEST_F(Crictl, StreamsOverBothTransports) {
  write("shell.json", R"({"metadata":{"name":"shell"},"image":{"image":"example.com/app:1"},"stdin":true,"linux":{}})");
  const auto pod = word({"runp", dir + "/pod.json"});
  const auto container = word({"create", pod, dir + "/shell.json", dir + "/pod.json"});
  ASSERT_EQ(run({"start", container}).code, 0);
  for (const std::string transport : {"spdy", "websocket"}) {
    SCOPED_TRACE(transport);
    const auto exec = [&](std::vector<std::string> command, const std::string& input = "/dev/null") {
      command.insert(command.begin(), {"exec", "--transport", transport});
      return run(std::move(command), input);
    };
    const auto both = exec({container, "sh", "-c", "echo out; echo err >&2"}).text;
    EXPECT_TRUE(both == "out\nerr\n" || both == "err\nout\n") << both;  // two streams have no order
    const auto failed = exec({container, "sh", "-c", "exit 7"});
    EXPECT_NE(failed.code, 0);
    EXPECT_NE(failed.text.find("7"), std::string::npos) << failed.text;
    in_terminal = true;  // crictl wants one itself
    const auto tty = exec({"-it", container, "sh", "-c", "'test -t 1 && echo tty'"});
    in_terminal = false;
    EXPECT_NE(tty.text.find("tty\r\n"), std::string::npos) << tty.text;
    const auto missing = exec({container, "/no/such"});
    EXPECT_NE(missing.text.find("exec /no/such: ENOENT"), std::string::npos) << missing.text;
    write("input", "one\ntwo\n");
    EXPECT_EQ(exec({"-i", container, "wc", "-l"}, dir + "/input").text, "2\n");
    write("script", "echo attached\nexit\n");
    const auto attached = run({"attach", "--transport", transport, "-i", container}, dir + "/script");
    EXPECT_NE(attached.text.find("attached\n"), std::string::npos) << attached.text;
  }
}

TEST_F(Crictl, BadInputIsToldByField) {
  write("bad.json", R"({"metadata":{"name":"web","uid":"u1","namespace":"default"},
    "port_mappings":[{"container_port":80,"host_port":70000}]})");
  const auto out = run({"runp", dir + "/bad.json"});
  EXPECT_NE(out.code, 0);
  EXPECT_NE(out.text.find("config.port_mappings[0].host_port"), std::string::npos) << out.text;
  EXPECT_NE(out.text.find("70000"), std::string::npos) << out.text;
  EXPECT_EQ(word({"pods", "-q"}), "");
}

// `crictl events` follows a Pod's life. Each event is awaited before the next is made: a late reader gets fewer.
TEST_F(Crictl, Events) {
  std::thread events([&] { run({"events", "--output", "json"}); });
  const auto until = [](auto&& done) {
    for (int i = 0; i < 4000 && !done(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return done();
  };
  const auto told = [&](const std::string& type, int times) {
    return until([&] {
      const std::string text = sys::read_file(dir + "/out").value_or("");
      int count = 0;
      for (auto at = text.find(type); at != std::string::npos; at = text.find(type, at + 1)) count++;
      return count == times;
    });
  };
  EXPECT_TRUE(until([&] { return runtime.events().subscribers() == 1; }));
  const auto pod = runtime.run_sandbox({.metadata = {.name = "web", .uid = "u", .name_space = "d"}})->str();
  EXPECT_TRUE(told("CONTAINER_STARTED_EVENT", 1));
  const auto id = runtime.create_container(pod, {.metadata = {.name = "app"}, .image = "example.com/app:1"})->str();
  EXPECT_TRUE(told("CONTAINER_CREATED_EVENT", 2));
  EXPECT_TRUE(runtime.start_container(id).has_value());
  EXPECT_TRUE(told("CONTAINER_STARTED_EVENT", 2));
  EXPECT_TRUE(runtime.stop_container(id, std::chrono::seconds(0)).has_value());
  EXPECT_TRUE(told("CONTAINER_STOPPED_EVENT", 1));
  EXPECT_TRUE(runtime.remove_container(id).has_value());
  EXPECT_TRUE(told("CONTAINER_DELETED_EVENT", 1));
  EXPECT_TRUE(runtime.remove_sandbox(pod).has_value());
  EXPECT_TRUE(told("CONTAINER_DELETED_EVENT", 2));
  EXPECT_TRUE(told(id, 4 + 3));  // its own events, and its statuses in the first three
  EXPECT_TRUE(server->stop(std::chrono::seconds(10)));
  server.reset();  // ends the stream, and crictl with it
  events.join();
}

}  // namespace
}  // namespace podshim::test
