// crictl, the CRI's own command line, drives the whole node.
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "common/json.h"
#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class Crictl : public NodeSuite {
 protected:
  void SetUp() override {
    tool_ = find_tool("crictl");
    if (tool_.empty())
      GTEST_SKIP()
          << "crictl is neither on PATH nor in $CRICTL: the daemon is not checked with a client that is not ours";
  }
  Output crictl(std::vector<std::string> words) {
    words.insert(words.begin(), {tool_, "--runtime-endpoint", "unix://" + node->socket(), "--image-endpoint",
                                 "unix://" + node->socket(), "--timeout", "20s"});
    return node->run(words);
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(node->dir() + "/" + name) << text;
    return node->dir() + "/" + name;
  }
  static std::string word(std::string text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    return text;
  }
  // Waits until `done` holds, a few seconds at most.
  static bool soon(const std::function<bool()>& done) {
    for (int i = 0; i < 100 * slowness(); i++) {
      if (done()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  void expect_ok(const Output& out, const std::string& word) {
    EXPECT_EQ(out.exit_code, 0) << out.err;
    EXPECT_NE(out.out.find(word), std::string::npos) << "no \"" << word << "\" in: " << out.out << out.err;
  }
  std::string pod_json() {
    files_++;
    return file("pod-" + std::to_string(files_) + ".json",
                "{\"metadata\": {\"name\": \"crictl-" + std::to_string(files_) +
                    "\", \"namespace\": \"default\", \"uid\": \"u" + std::to_string(files_) +
                    "\"}, \"log_directory\": \"" + node->dir() + "/logs/crictl-" + std::to_string(files_) +
                    "\", \"linux\": {\"cgroup_parent\": \"" + node->cgroup_parent() + "\"}}");
  }
  std::string container_json(const std::string& name, const std::string& image, const std::string& command,
                             const std::string& more = "") {
    return file(name + "-" + std::to_string(++files_) + ".json",
                "{\"metadata\": {\"name\": \"" + name + "\"}, \"image\": {\"image\": \"" + image +
                    "\"}, \"command\": " + command + ", \"log_path\": \"" + name + ".log\", \"linux\": {}" + more +
                    "}");
  }
  // What crictl says of its commands: none may be left out.
  std::set<std::string> commands() {
    std::set<std::string> out;
    std::istringstream help(crictl({"--help"}).out);
    std::string line;
    for (bool in = false; std::getline(help, line);) {
      if (line.starts_with("COMMANDS:"))
        in = true;
      else if (line.starts_with("GLOBAL"))
        break;
      else if (in && line.size() > 3 && line[3] != ' ')
        out.insert(line.substr(3, line.find_first_of(" ,", 3) - 3));
    }
    out.erase("help");
    return out;
  }

  std::string tool_;
  int files_ = 0;
};

TEST_F(Crictl, BuildsAPodThatSharesData) {
  EXPECT_NE(crictl({"version"}).out.find("RuntimeName:  podshim"), std::string::npos) << crictl({"version"}).out;
  auto info = crictl({"info"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  auto document = json::parse(info.out);
  ASSERT_TRUE(document) << info.out;
  EXPECT_NE(info.out.find("NetworkReady"), std::string::npos);

  auto pod_json = file(
      "pod.json",
      "{\"metadata\": {\"name\": \"crictl-pod\", \"namespace\": \"default\", \"uid\": \"u1\"}, \"hostname\": "
      "\"crictl-pod\",\"log_directory\": \"" +
          node->dir() +
          "/logs/crictl\", \"annotations\": {\"podshim.dev/volumes\": \"logs\"}, \"linux\": {\"cgroup_parent\": \"" +
          node->cgroup_parent() + "\"}}");
  auto writer_json =
      file("writer.json", std::string("{\"metadata\": {\"name\": \"writer\"}, \"image\": {\"image\": \"") + kBusybox +
                              "\"}, \"command\": [\"sh\", \"-c\", \"while :; do date >> /logs/app.log; echo tick; "
                              "sleep 0.2; done\"], \"log_path\": \"writer.log\", \"mounts\": "
                              "[{\"host_path\": \"volume:logs\", \"container_path\": \"/logs\"}], \"linux\": {}}");
  auto reader_json =
      file("reader.json", std::string("{\"metadata\": {\"name\": \"reader\"}, \"image\": {\"image\": \"") + kBusybox +
                              "\"}, \"command\": [\"sleep\", \"1000\"], \"log_path\": \"reader.log\", \"mounts\": "
                              "[{\"host_path\": \"volume:logs\", "
                              "\"container_path\": \"/logs\", \"readonly\": true}], \"linux\": {}}");
  auto pod = crictl({"runp", pod_json});
  ASSERT_EQ(pod.exit_code, 0) << pod.err << node->log();
  auto pod_id = word(pod.out);
  auto writer = crictl({"create", pod_id, writer_json, pod_json});
  ASSERT_EQ(writer.exit_code, 0) << writer.err;
  auto reader = crictl({"create", pod_id, reader_json, pod_json});
  ASSERT_EQ(reader.exit_code, 0) << reader.err;
  for (const auto& id : {word(writer.out), word(reader.out)}) {
    auto started = crictl({"start", id});
    ASSERT_EQ(started.exit_code, 0) << started.err;
  }
  auto seen = crictl({"exec", "--sync", word(reader.out), "sh", "-c",
                      "i=0; until [ -s /logs/app.log ]; do sleep 0.1; done; wc -l < /logs/app.log"});
  EXPECT_EQ(seen.exit_code, 0) << seen.err;
  EXPECT_GE(std::atoi(seen.out.c_str()), 1) << seen.out;
  EXPECT_NE(crictl({"pods"}).out.find("crictl-pod"), std::string::npos);
  EXPECT_NE(crictl({"ps"}).out.find("writer"), std::string::npos);
  EXPECT_NE(crictl({"logs", word(writer.out)}).out.find("tick"), std::string::npos);
  auto inspect = crictl({"inspect", word(writer.out)});
  EXPECT_NE(inspect.out.find("CONTAINER_RUNNING"), std::string::npos) << inspect.err;
  auto inspectp = crictl({"inspectp", pod_id});
  EXPECT_NE(inspectp.out.find("\"ip\": \"10.42."), std::string::npos) << inspectp.out;
  EXPECT_EQ(crictl({"stats"}).exit_code, 0) << crictl({"stats"}).err;
  EXPECT_NE(crictl({"images"}).out.find("podshim.dev/busybox"), std::string::npos);
  EXPECT_EQ(crictl({"inspecti", kBusybox}).exit_code, 0);
  EXPECT_EQ(crictl({"imagefsinfo"}).exit_code, 0);
  auto pull = crictl({"pull", kBusybox});  // imported, of a registry that does not exist
  EXPECT_EQ(pull.exit_code, 0) << pull.err;
  EXPECT_EQ(crictl({"stop", "--timeout", "1", word(writer.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"rm", word(writer.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"rm", "--force", word(reader.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"stopp", pod_id}).exit_code, 0);
  EXPECT_EQ(crictl({"rmp", pod_id}).exit_code, 0);
  EXPECT_EQ(word(crictl({"pods", "-q"}).out), "");
}

// Every command of crictl, against one Pod: what is not driven here fails the test.
TEST_F(Crictl, EveryCommand) {
  std::set<std::string> left = commands();
  ASSERT_GT(left.size(), 30U);
  auto drive = [&](std::vector<std::string> words) {
    left.erase(words.front());
    return crictl(std::move(words));
  };
  auto drive_shell = [&](const std::string& command, const std::string& script) {
    left.erase(command);
    return node->run({"sh", "-c",
                      "crictl() { " + tool_ + " --timeout 20s --runtime-endpoint unix://" + node->socket() +
                          " \"$@\"; }; " + script});
  };
  left.erase("events");
  const pid_t events = node->spawn("events", {tool_, "--runtime-endpoint", "unix://" + node->socket(), "events"});

  // About the runtime
  expect_ok(drive({"version"}), "RuntimeName:  podshim");
  expect_ok(drive({"info"}), "NetworkReady");
  expect_ok(drive({"runtime-config"}), "CGROUPFS");
  expect_ok(drive({"update-runtime-config", "--pod-cidr", ""}), "");
  expect_ok(drive({"completion", "bash"}), "complete");
  const std::string settings = file("crictl.yaml", "");
  expect_ok(crictl({"--config", settings, "config", "--set", "debug=true"}), "");
  left.erase("config");
  expect_ok(crictl({"--config", settings, "config", "--get", "debug"}), "true");

  // Images
  expect_ok(drive({"images"}), "podshim.dev/busybox");
  expect_ok(drive({"inspecti", kBusybox}), "sha256:");
  expect_ok(drive({"imagefsinfo"}), "usedBytes");
  expect_ok(drive({"pull", kBusybox}), "Image is up to date");
  ASSERT_EQ(node->import_image(image_archive("nocommand.tar")).exit_code, 0);
  expect_ok(drive({"rmi", "podshim.dev/nocommand:1"}), "Deleted: podshim.dev/nocommand:1");

  // A Pod, and containers in it
  const std::string pod_config = pod_json();
  const std::string pod = word(drive({"runp", pod_config}).out);
  expect_ok(drive({"pods"}), "crictl-");
  expect_ok(drive({"inspectp", pod}), "SANDBOX_READY");
  const std::string web =
      word(drive({"create", pod, container_json("web", kProbe, "[\"/bin/probe\", \"serve\"]"), pod_config}).out);
  expect_ok(drive({"start", web}), web);
  const std::string shell =
      word(crictl({"create", pod,
                   container_json("shell", kBusybox, "[\"sh\", \"-c\", \"echo ready; read line; echo got $line\"]",
                                  ", \"stdin\": true, \"stdin_once\": true"),
                   pod_config})
               .out);
  expect_ok(crictl({"start", shell}), shell);
  expect_ok(drive({"ps"}), "web");
  expect_ok(drive({"inspect", web}), "CONTAINER_RUNNING");
  EXPECT_TRUE(soon([&] { return crictl({"logs", shell}).out == "ready\n"; })) << crictl({"logs", shell}).err;
  left.erase("logs");

  // Streams, over both transports
  for (const std::string transport : {"spdy", "websocket"}) {
    SCOPED_TRACE(transport);
    expect_ok(drive({"exec", "-r", transport, web, "echo", "over " + transport}), "over " + transport);
    auto failed = crictl({"exec", "-r", transport, web, "sh", "-c", "echo to-err >&2; exit 7"});
    EXPECT_NE(failed.exit_code, 0);
    EXPECT_NE(failed.err.find("to-err"), std::string::npos) << failed.err;
    EXPECT_NE(failed.err.find("7"), std::string::npos) << failed.err;
    expect_ok(drive_shell("exec", "printf 'a b c' | crictl exec -i -r " + transport + " " + web + " wc -c"), "5\n");
    const int port = 20000 + static_cast<int>(::getpid() % 10000);
    left.erase("port-forward");
    const pid_t forward =
        node->spawn("forward", {tool_, "--runtime-endpoint", "unix://" + node->socket(), "port-forward", "-r",
                                transport, pod, std::to_string(port) + ":8080"});
    EXPECT_TRUE(soon([&] {
      return node->run({"curl", "-sf", "--max-time", "5", "http://127.0.0.1:" + std::to_string(port) + "/"})
                 .exit_code == 0;
    })) << sys::read_file(node->dir() + "/forward.log").value_or("");
    node->stop(forward, SIGTERM);
  }
  expect_ok(drive({"exec", "--sync", web, "echo", "sync"}), "sync");
  expect_ok(drive_shell("exec", "script -qec \"" + tool_ + " --runtime-endpoint unix://" + node->socket() +
                                    " exec -it " + web + " tty\" /dev/null"),
            "/dev/pts/");
  expect_ok(drive_shell("attach", "(sleep 0.5; echo hello) | crictl attach -i " + shell), "got hello");
  EXPECT_TRUE(soon([&] { return crictl({"logs", shell}).out == "ready\ngot hello\n"; })) << crictl({"logs", shell}).out;

  // Figures
  expect_ok(drive({"stats", "-s", "0", "-o", "json"}), "usageCoreNanoSeconds");
  expect_ok(drive({"statsp", "-s", "0", "-o", "json"}), "rxBytes");
  expect_ok(drive({"metricdescs"}), "container_cpu_usage_seconds_total");
  expect_ok(drive({"metricsp"}), "container_memory_working_set_bytes");
  expect_ok(drive({"update", "--cpu-share", "512", web}), web);
  expect_ok(crictl({"inspect", web}), "\"cpuShares\": \"512\"");

  // One command for a Pod and its container; what is not there yet says so
  expect_ok(drive({"run", "--no-pull", container_json("one", kBusybox, "[\"sleep\", \"1000\"]"), pod_json()}), "");
  auto checkpoint = drive({"checkpoint", "--export", node->dir() + "/cp", web});
  EXPECT_NE(checkpoint.exit_code, 0);
  EXPECT_NE(checkpoint.err.find("CheckpointContainer"), std::string::npos) << checkpoint.err;

  // The end
  expect_ok(drive({"stop", "--timeout", "0", web}), web);
  expect_ok(drive({"rm", web}), web);
  expect_ok(drive({"stopp", pod}), pod);
  expect_ok(drive({"rmp", pod}), pod);
  crictl({"rmp", "--force", "--all"});
  EXPECT_TRUE(soon([&] {
    auto seen = sys::read_file(node->dir() + "/events.log").value_or("");
    return seen.find("CONTAINER_DELETED_EVENT") != std::string::npos && seen.find(web) != std::string::npos;
  })) << sys::read_file(node->dir() + "/events.log").value_or("");
  node->stop(events, SIGTERM);
  for (const auto& command : left) ADD_FAILURE() << "crictl " << command << " is not driven";
}

TEST_F(Crictl, NamesWhatIsNotThere) {
  auto none = crictl({"inspect", "feedfeed"});
  EXPECT_NE(none.exit_code, 0);
  EXPECT_NE((none.err + none.out).find("feedfeed"), std::string::npos) << none.err;
  auto pull = crictl({"pull", "example.com/none:1"});
  EXPECT_NE(pull.exit_code, 0);
  EXPECT_NE(pull.err.find("example.com/none:1"), std::string::npos) << pull.err;
}

}  // namespace
}  // namespace podshim::test
