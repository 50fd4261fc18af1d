// What a running daemon tells of a real Pod: its events, also across a restart, its timeline and its metrics.
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

// Reads events on a thread of its own until the stream ends.
class EventReader {
 public:
  explicit EventReader(const std::string& socket) : client_(socket) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    stream_ = client_.runtime().GetContainerEvents(&context_, cri::GetEventsRequest());
    stream_->WaitForInitialMetadata();
    thread_ = std::thread([this] {
      cri::ContainerEventResponse event;
      while (stream_->Read(&event)) {
        std::lock_guard lock(mutex_);
        events_.push_back(event);
      }
    });
  }
  ~EventReader() {
    context_.TryCancel();
    thread_.join();
    (void)stream_->Finish();
  }
  // Waits for the event; the events so far.
  std::vector<cri::ContainerEventResponse> until(const std::string& id, cri::ContainerEventType type) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20) * slowness();
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        for (const auto& e : events_)
          if (e.container_id() == id && e.container_event_type() == type) return events_;
      }
      if (std::chrono::steady_clock::now() > end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "no event " << type << " of " << id;
    return {};
  }

 private:
  CriClient client_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<cri::ContainerEventResponse>> stream_;
  std::mutex mutex_;  // guards events_
  std::vector<cri::ContainerEventResponse> events_;
  std::thread thread_;
};

void replace_all(std::string* text, const std::string& what, const std::string& by) {
  for (auto at = text->find(what); at != std::string::npos; at = text->find(what, at + by.size()))
    text->replace(at, what.size(), by);
}

class ObserveTest : public NodeSuite {
 public:
  static void SetUpTestSuite() {
    node = std::make_unique<Node>(Node::Options{.config = "  metrics: {address: 127.0.0.1, port: 9477}\n"});
    ASSERT_TRUE(node->start_daemon()) << node->log();
    auto imported = node->import_image(image_archive("busybox.tar"));
    ASSERT_EQ(imported.exit_code, 0) << imported.err << imported.out;
  }

 protected:
  static Output status(std::vector<std::string> words) {
    words.insert(words.begin(), {program("podshim"), "--config", node->config_file(), "status"});
    return node->run(words);
  }
  static std::string metrics() {
    return node->run({"curl", "-sS", "--max-time", "10", "http://127.0.0.1:9477/metrics"}).out;
  }
  static bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
  }
};

TEST_F(ObserveTest, ARealLifeIsToldInOrder) {
  EventReader reader(node->socket());
  auto pod = run_pod();
  auto id = start(pod, container_config("short", kBusybox, {"sh", "-c", "exit 3"}));
  auto events = reader.until(id, cri::CONTAINER_STOPPED_EVENT);
  ASSERT_FALSE(events.empty());
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, std::chrono::seconds(20)));
  ASSERT_TRUE(node->cri().stop_sandbox(pod.id).ok());
  ASSERT_TRUE(node->cri().remove_sandbox(pod.id).ok());
  events = reader.until(pod.id, cri::CONTAINER_DELETED_EVENT);
  std::vector<std::pair<std::string, cri::ContainerEventType>> told;
  std::int64_t last = 0;
  for (const auto& e : events) {
    told.emplace_back(e.container_id(), e.container_event_type());
    EXPECT_GT(e.created_at(), last);
    last = e.created_at();
    EXPECT_EQ(e.pod_sandbox_status().id(), pod.id);
    EXPECT_EQ(e.pod_sandbox_status().metadata().uid(), pod.config.metadata().uid());
    if (e.container_id() == id && e.container_event_type() == cri::CONTAINER_STOPPED_EVENT) {
      ASSERT_EQ(e.containers_statuses_size(), 1);
      EXPECT_EQ(e.containers_statuses(0).exit_code(), 3);
    }
  }
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), std::make_pair(pod.id, cri::CONTAINER_DELETED_EVENT));
  // No type of one id twice, and what is told of an id is in the order of a life.
  std::map<std::string, int> newest;
  for (const auto& [who, type] : told) {
    EXPECT_TRUE(newest.find(who) == newest.end() || newest[who] < static_cast<int>(type)) << who << " " << type;
    newest[who] = type;
  }
  EXPECT_EQ(newest[id], cri::CONTAINER_DELETED_EVENT);
}

TEST_F(ObserveTest, TheTimelineOfAPodsStart) {
  auto pod = run_pod();
  start(pod, container_config("main", kBusybox, {"sleep", "1000"}));
  const std::string name = "default/" + pod.config.metadata().name();
  for (const auto& words : {std::vector<std::string>{"--timeline", name}, {"--timeline", pod.id.substr(0, 16)}}) {
    const auto text = status(words);
    ASSERT_EQ(text.exit_code, 0) << text.err;
    std::size_t at = 0;
    for (const char* word : {name.c_str(), pod.id.c_str(), "RunPodSandbox", "monitor", "pause", "netns", "cni",
                             "cni/bridge", "CreateContainer main", "StartContainer main"}) {
      at = text.out.find(word, at);
      ASSERT_NE(at, std::string::npos) << word << " is not where it should be in\n" << text.out;
    }
  }
  const auto json = status({"--timeline", name, "--output", "json"});
  EXPECT_NE(json.out.find("\"operation\": \"StartContainer\""), std::string::npos) << json.out;
  EXPECT_EQ(node->run({"sh", "-c", "printf '%s' \"$1\" | jq -e '.operations[0].stages | map(.tookUs) | add > 0'", "sh",
                       json.out})
                .exit_code,
            0);
  const auto none = status({"--timeline", "default/no-such-pod"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.err.find("default/no-such-pod"), std::string::npos) << none.err;
}

TEST_F(ObserveTest, MetricsCountWhatHappened) {
  auto pod = run_pod();
  start(pod, container_config("main", kBusybox, {"sleep", "1000"}));
  const auto text = metrics();
  EXPECT_TRUE(has_line(text, "podshim_sandboxes{state=\"ready\"} 1")) << text;
  EXPECT_TRUE(has_line(text, "podshim_containers{state=\"running\"} 1")) << text;
  EXPECT_TRUE(has_line(text, "podshim_cni_debts 0")) << text;
  for (const char* series : {"podshim_cri_request_duration_seconds_count{code=\"OK\",method=\"RunPodSandbox\"} ",
                             "podshim_stage_duration_seconds_count{operation=\"RunPodSandbox\",stage=\"cni/bridge\"} ",
                             "podshim_stage_duration_seconds_count{operation=\"StartContainer\",stage=\"monitor\"} "})
    EXPECT_NE(text.find(series), std::string::npos) << series << "\n" << text;
}

// A stream ends with its daemon; the next one tells of Pods that lived through it.
TEST_F(ObserveTest, ASubscriptionAfterARestartTellsOfTheSamePods) {
  auto pod = run_pod();
  auto id = start(pod, container_config("main", kBusybox, {"sleep", "1000"}));
  {
    EventReader before(node->socket());
    node->stop_daemon(SIGKILL);
  }
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EventReader after(node->socket());
  ASSERT_TRUE(node->cri().stop(id, 0).ok());
  const auto events = after.until(id, cri::CONTAINER_STOPPED_EVENT);
  ASSERT_EQ(events.size(), 1U);  // nothing is told again
  EXPECT_EQ(events[0].containers_statuses(0).exit_code(), 137);
  const auto text = status({"--timeline", pod.id});
  EXPECT_NE(text.out.find("restarted"), std::string::npos) << text.out;
}

// A tmpfs over a directory, with what it held: thousands of files on a disk cost minutes to remove.
class InMemory {
 public:
  explicit InMemory(std::string dir) : dir_(std::move(dir)), before_(dir_ + ".before") {
    std::filesystem::copy(dir_, before_, std::filesystem::copy_options::recursive);
    mounted_ = ::mount("tmpfs", dir_.c_str(), "tmpfs", 0, "mode=0711") == 0;
    std::filesystem::copy(before_, dir_, std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(before_);
  }
  ~InMemory() {
    if (mounted_) {
      EXPECT_EQ(::umount2(dir_.c_str(), 0), 0);
    }
  }
  bool mounted() const { return mounted_; }

 private:
  const std::string dir_, before_;
  bool mounted_ = false;
};

// The records of 20,000 containers that have ended, made from one: the daemon takes them up, and lists them both ways.
TEST_F(ObserveTest, TwentyThousandDeadContainersAreListedBothWays) {
  constexpr int kDead = 20'000;
  auto pod = run_pod();
  auto id = start(pod, container_config("dead", kBusybox, {"true"}));
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, std::chrono::seconds(20)));
  node->stop_daemon(SIGTERM);
  const std::string containers = node->dir() + "/root/containers/";
  auto in_memory = std::make_unique<InMemory>(node->dir() + "/root/containers");
  ASSERT_TRUE(in_memory->mounted());
  std::stringstream text;
  text << std::ifstream(containers + id + "/record.json").rdbuf();
  for (int i = 1; i < kDead; i++) {
    char digits[65];
    std::snprintf(digits, sizeof digits, "%064x", i);
    std::string record = text.str();
    replace_all(&record, id, digits);
    replace_all(&record, "\"dead\"", "\"dead-" + std::to_string(i) + "\"");
    std::filesystem::create_directory(containers + digits);
    std::ofstream(containers + digits + "/record.json") << record;
  }
  const auto restarted = std::chrono::steady_clock::now();
  ASSERT_TRUE(node->start_daemon()) << node->log();
  cri::ListContainersResponse unary;
  const auto since = std::chrono::steady_clock::now();
  EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListContainers, {}, &unary).ok());
  const auto first = std::chrono::steady_clock::now();
  EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListContainers, {}, &unary).ok());
  const auto second = std::chrono::steady_clock::now();
  EXPECT_EQ(unary.containers_size(), kDead);
  auto stub = cri::RuntimeService::NewStub(
      grpc::CreateChannel("unix://" + node->socket(), grpc::InsecureChannelCredentials()));  // 4 MiB a message at most
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  auto stream = stub->StreamContainers(&context, cri::StreamContainersRequest());
  cri::StreamContainersResponse part;
  int at = 0, differs = 0;
  while (stream->Read(&part))
    for (const auto& c : part.containers()) differs += at >= kDead || c.id() != unary.containers(at++).id();
  EXPECT_TRUE(stream->Finish().ok());
  const auto streamed = std::chrono::steady_clock::now();
  EXPECT_EQ(at, kDead);
  EXPECT_EQ(differs, 0);
  const auto ms = [](auto d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); };
  std::printf("20,000 dead: restart %lld ms, %zu bytes, first list %lld ms, next %lld ms, stream %lld ms\n",
              static_cast<long long>(ms(since - restarted)), unary.ByteSizeLong(),
              static_cast<long long>(ms(first - since)), static_cast<long long>(ms(second - first)),
              static_cast<long long>(ms(streamed - second)));
  node->stop_daemon(SIGTERM);
  in_memory.reset();
  ASSERT_TRUE(node->start_daemon()) << node->log();
}

}  // namespace
}  // namespace podshim::test
