// The life of Pods and containers on a real kernel, with Debian's CNI plugins.
#include <sys/mount.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Pods : public LifecycleTest {};

TEST_F(Pods, ASandboxHasItsAddressFilesAndNamespaces) {
  auto id = run(pod());
  auto view = runtime->sandbox(id.str()).value();
  EXPECT_EQ(view->state, SandboxState::ready);
  ASSERT_EQ(view->ips.size(), 1U);
  EXPECT_TRUE(Cidr::parse("10.42.0.0/24")->contains(view->ips[0])) << view->ips[0].str();
  EXPECT_EQ(view->netns_path, dir + "/netns/podshim-" + instance + "-" + id.str());
  auto c = launch(id, script("c", "sleep 1000"));
  EXPECT_EQ(shell(c, "hostname"), "web");
  EXPECT_NE(shell(c, "cat /etc/hosts").find(view->ips[0].str()), std::string::npos);
  EXPECT_NE(shell(c, "ip -4 addr show eth0").find(view->ips[0].str() + "/24"), std::string::npos);
  EXPECT_EQ(shell(c, "echo $FROM_IMAGE"), "yes");
}

TEST_F(Pods, ExitCodesReasonsAndLogs) {
  auto id = run(pod());
  struct Case {
    const char* name;
    const char* text;
    int code;
    const char* reason;
  } cases[] = {
      {"ok", "echo fine", 0, "Completed"}, {"fails", "exit 42", 42, "Error"}, {"killed", "kill -9 $$", 137, "Error"}};
  for (const auto& c : cases) {
    // pid 1 of a namespace cannot be killed by itself: one level below.
    auto view =
        wait_exit(launch(id, script(c.name, c.name == std::string("killed") ? "sh -c 'kill -9 $$'; exit $?" : c.text)));
    EXPECT_EQ(view.exit_code, c.code) << c.name;
    EXPECT_EQ(view.reason, c.reason) << c.name;
    EXPECT_GE(view.finished_at_ns, view.started_at_ns) << c.name;
    EXPECT_GE(view.started_at_ns, view.created_at_ns) << c.name;
  }
  EXPECT_NE(read(dir + "/logs/ok.log").find(" stdout F fine\n"), std::string::npos) << read(dir + "/logs/ok.log");
}

TEST_F(Pods, OutOfMemoryIsTold) {
  auto id = run(pod());
  auto spec = script("hog", "dd if=/dev/zero of=/dev/null bs=60M");
  spec.resources = Resources{.memory_limit_bytes = 15 << 20, .memory_swap_limit_bytes = 15 << 20};
  auto view = wait_exit(launch(id, spec));
  EXPECT_EQ(view.reason, "OOMKilled");
  EXPECT_EQ(view.exit_code, 137);
}

TEST_F(Pods, StopIsPoliteThenNot) {
  auto id = run(pod());
  auto polite = launch(id, script("polite", "trap 'exit 7' TERM; echo set; while true; do sleep 0.05; done"));
  auto deaf = launch(id, script("deaf", "trap '' TERM; echo set; while true; do sleep 0.05; done"));
  for (const char* name : {"polite", "deaf"})
    ASSERT_TRUE(eventually([&] { return read(dir + "/logs/" + name + ".log").ends_with(" set\n"); })) << name;
  ASSERT_TRUE(runtime->stop_container(polite.str(), seconds(10)));
  EXPECT_EQ(runtime->container(polite.str()).value()->exit_code, 7);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(runtime->stop_container(deaf.str(), seconds(1)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(6)) << "its exit was not told";
  EXPECT_EQ(runtime->container(deaf.str()).value()->exit_code, 137);
  EXPECT_TRUE(runtime->stop_container(deaf.str(), seconds(1)));  // again
}

TEST_F(Pods, StopAndRemoveAreIdempotentAndFree) {
  auto id = run(pod());
  auto c = launch(id, script("c", "trap '' TERM; sleep 1000"));
  EXPECT_FALSE(leftovers().empty());
  ASSERT_TRUE(runtime->stop_sandbox(id.str()));
  EXPECT_EQ(runtime->sandbox(id.str()).value()->state, SandboxState::not_ready);
  EXPECT_TRUE(runtime->sandbox(id.str()).value()->ips.empty());
  EXPECT_EQ(runtime->container(c.str()).value()->state, ContainerState::exited);
  EXPECT_EQ(runtime->container(c.str()).value()->exit_code, 137);
  for (const auto& what : leftovers())
    EXPECT_TRUE(what.starts_with("sandbox") || what.starts_with("container record") ||
                what.starts_with("exit record") || what.starts_with("cgroup") || what.starts_with("link"))
        << what;
  EXPECT_TRUE(runtime->stop_sandbox(id.str()));
  auto refused = runtime->create_container(id.str(), script("late", "true"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::failed_precondition);
  ASSERT_TRUE(runtime->remove_sandbox(id.str()));
  EXPECT_TRUE(runtime->remove_sandbox(id.str()));
  EXPECT_TRUE(runtime->stop_container(c.str(), seconds(0)));
  EXPECT_TRUE(runtime->remove_container(c.str()));
  EXPECT_EQ(runtime->container(c.str()).error().kind, ErrorKind::not_found);
  EXPECT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
}

TEST_F(Pods, SharedVolumesGoWithTheSandbox) {
  auto spec = pod();
  spec.shared_volumes = {"logs"};
  auto id = run(spec);
  auto writer = script("writer", "echo shared > /data/x; sleep 1000");
  auto reader = script("reader", "sleep 1000");
  for (auto* c : {&writer, &reader}) c->mounts = {{.container_path = "/data", .host_path = "volume:logs"}};
  launch(id, writer);
  auto r = launch(id, reader);
  EXPECT_TRUE(eventually([&] { return shell(r, "cat /data/x 2>/dev/null || true") == "shared"; }));
  const std::string volumes = dir + "/root/sandboxes/" + id.str() + "/volumes/logs/x";
  EXPECT_EQ(read(volumes), "shared\n");
  ASSERT_TRUE(runtime->remove_sandbox(id.str()));
  EXPECT_EQ(read(volumes), "");
}

TEST_F(Pods, ASharedPidNamespaceLosesTheTreeWithItsHead) {
  auto spec = pod();
  spec.namespaces.pid = NamespaceMode::pod;
  auto id = run(spec);
  auto c = script("c", "sleep 1234 & echo started; exit 3");
  c.security.namespaces.pid = NamespaceMode::pod;
  auto view = wait_exit(launch(id, c));
  EXPECT_EQ(view.exit_code, 3);
  auto look = script("look", "sleep 1000");
  look.security.namespaces.pid = NamespaceMode::pod;
  EXPECT_EQ(shell(launch(id, look), "ps | grep -c '[s]leep 1234' || true"), "0");
}

TEST_F(Pods, DuplicateNames) {
  auto spec = pod();
  auto id = run(spec);
  EXPECT_EQ(run(spec), id);
  auto other = spec;
  other.labels["app"] = "changed";
  auto refused = runtime->run_sandbox(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::already_exists);
  for (const char* word : {id.str().c_str(), "labels.app", "s old"})
    EXPECT_NE(refused.error().text().find(word), std::string::npos) << refused.error().text();
  auto c = create(id, script("c", "sleep 1000"));
  EXPECT_EQ(create(id, script("c", "sleep 1000")), c);
  auto clash = runtime->create_container(id.str(), script("c", "sleep 1"));
  ASSERT_FALSE(clash);
  EXPECT_NE(clash.error().text().find("command[2]"), std::string::npos) << clash.error().text();
  ASSERT_TRUE(runtime->stop_sandbox(id.str()));
  auto stopped = runtime->run_sandbox(spec);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::already_exists);
  auto next = spec;
  next.metadata.attempt = 1;
  run(next);
}

TEST_F(Pods, ThirtyCallersOfOneNameGetOneSandbox) {
  const auto spec = pod();
  std::vector<std::thread> callers;
  std::vector<std::string> ids(30);
  for (std::size_t i = 0; i < ids.size(); i++)
    callers.emplace_back([&, i] { ids[i] = runtime->run_sandbox(spec).value_or(SandboxId()).str(); });
  for (auto& t : callers) t.join();
  for (const auto& id : ids) EXPECT_EQ(id, ids[0]);
  EXPECT_EQ(ids[0].size(), 64U);
  EXPECT_EQ(runtime->snapshot()->sandboxes.size(), 1U);
}

TEST_F(Pods, ManyAtOnceComeAndGo) {
  std::atomic<int> failures{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 10; i++)
    callers.emplace_back([&, i] {
      auto id = runtime->run_sandbox(pod("p" + std::to_string(i)));
      if (!id) {
        failures++;
        ADD_FAILURE() << id.error().text();
        return;
      }
      auto c = runtime->create_container(id->str(), script("c", "sleep 1000"));
      if (!c || !runtime->start_container(c->str()) || !runtime->stop_sandbox(id->str()) ||
          !runtime->remove_sandbox(id->str()))
        failures++;
    });
  for (auto& t : callers) t.join();
  EXPECT_EQ(failures, 0);
}

// Each is refused with a word about what is wrong, and leaves nothing.
TEST_F(Pods, BadContainers) {
  auto id = run(pod());
  struct Case {
    const char* name;
    std::function<void(ContainerSpec&)> change;
    ErrorKind kind;
    const char* word;
  } cases[] = {
      {"unknown image", [](auto& c) { c.image = "example.com/none:1"; }, ErrorKind::not_found, "example.com/none:1"},
      {"mount source missing", [](auto& c) { c.mounts = {{.container_path = "/d", .host_path = "/no/such"}}; },
       ErrorKind::invalid_argument, "/no/such"},
      {"unknown volume", [](auto& c) { c.mounts = {{.container_path = "/d", .host_path = "volume:none"}}; },
       ErrorKind::invalid_argument, "volume:none"},
      {"unknown target", [](auto& c) { c.security.namespaces = {.pid = NamespaceMode::target, .target_id = "feed"}; },
       ErrorKind::invalid_argument, "feed"},
      {"unknown user", [](auto& c) { c.security.run_as_username = "ghost"; }, ErrorKind::invalid_argument, "ghost"},
      {"profile missing",
       [](auto& c) { c.security.seccomp = {.type = SeccompChoice::Type::localhost, .localhost_ref = "/no/profile"}; },
       ErrorKind::invalid_argument, "/no/profile"},
      {"log path outside", [](auto& c) { c.log_path = "../../x"; }, ErrorKind::invalid_argument, "../../x"},
  };
  for (const auto& c : cases) {
    auto spec = script("bad", "true");
    c.change(spec);
    auto made = runtime->create_container(id.str(), spec);
    ASSERT_FALSE(made) << c.name;
    EXPECT_EQ(made.error().kind, c.kind) << c.name << ": " << made.error().text();
    EXPECT_NE(made.error().text().find(c.word), std::string::npos) << c.name << ": " << made.error().text();
  }
  EXPECT_TRUE(runtime->snapshot()->containers.empty());
  EXPECT_EQ(runtime->create_container("feed", script("x", "true")).error().kind, ErrorKind::not_found);
  for (const auto& what : leftovers()) EXPECT_FALSE(what.starts_with("container record")) << what;
}

TEST_F(Pods, AMissingCommandEndsTheContainerWithItsReason) {
  auto id = run(pod());
  auto c = create(id, container("c", {"/no/such/program"}));
  auto started = runtime->start_container(c.str());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::invalid_argument) << started.error().text();
  EXPECT_TRUE(started.error().is(ENOENT)) << started.error().text();
  for (const char* word : {"/no/such/program", "ENOENT"})
    EXPECT_NE(started.error().text().find(word), std::string::npos) << started.error().text();
  auto view = runtime->container(c.str()).value();
  EXPECT_EQ(view->state, ContainerState::exited);
  EXPECT_EQ(view->reason, "StartError");
  EXPECT_EQ(view->exit_code, 128);
  EXPECT_NE(view->message.find("ENOENT"), std::string::npos) << view->message;
  EXPECT_EQ(runtime->start_container(c.str()).error().kind, ErrorKind::failed_precondition);
}

TEST_F(Pods, BadSandboxes) {
  struct Case {
    const char* name;
    std::function<void(SandboxSpec&)> change;
    const char* word;
  } cases[] = {
      {"cgroup parent", [](auto& s) { s.cgroup_parent = "/a/../../b"; }, "/a/../../b"},
      {"sysctl", [](auto& s) { s.sysctls["kernel.panic"] = "1"; }, "kernel.panic"},
      {"forged args", [](auto& s) { s.metadata.uid = "x;IP=1.2.3.4"; }, "K8S_POD_UID"},
      {"bandwidth", [](auto& s) { s.annotations["kubernetes.io/egress-bandwidth"] = "fast"; }, "fast"},
  };
  for (const auto& c : cases) {
    auto spec = pod("bad");
    c.change(spec);
    auto made = runtime->run_sandbox(spec);
    ASSERT_FALSE(made) << c.name;
    EXPECT_EQ(made.error().kind, ErrorKind::invalid_argument) << c.name << ": " << made.error().text();
    EXPECT_NE(made.error().text().find(c.word), std::string::npos) << c.name << ": " << made.error().text();
  }
  EXPECT_EQ(leftovers(), std::vector<std::string>{});
}

TEST_F(Pods, StatsComeFromTheCgroup) {
  auto id = run(pod());
  auto c = launch(id, script("busy", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000"));
  EXPECT_TRUE(eventually([&] {
    auto stats = runtime->stats({runtime->container(c.str()).value()});
    return stats.size() == 1 && stats[0].usage && stats[0].usage->cpu_usage_ns > 1'000'000 &&
           stats[0].usage->memory_usage_bytes > 0;
  }));
  shell(c, "dd if=/dev/zero of=/srv/file bs=1M count=3");
  runtime->measure_layers();
  EXPECT_GE(runtime->stats({runtime->container(c.str()).value()})[0].layer.value().bytes, 3U << 20);
}

TEST_F(Pods, MountsLeftBelowASharedVolumeDoNotKeepThePod) {
  auto spec = pod();
  spec.shared_volumes = {"v"};
  auto id = run(spec);
  const std::string volume = dir + "/root/sandboxes/" + id.str() + "/volumes/v";
  const std::string kept = dir + "/kept";
  std::filesystem::create_directories(kept);
  std::filesystem::create_directories(volume + "/a");
  sys::write_file(kept + "/file", "stays", 0644).value();
  ASSERT_EQ(::mount(kept.c_str(), (volume + "/a").c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount("none", (volume + "/a").c_str(), "tmpfs", 0, nullptr), 0);  // stacked
  EXPECT_TRUE(runtime->stop_sandbox(id.str()));
  auto removed = runtime->remove_sandbox(id.str());
  EXPECT_TRUE(removed) << removed.error().text();
  EXPECT_EQ(read(kept + "/file"), "stays");
}

TEST_F(Pods, ATargetMayBeNamedByAPrefixOfItsId) {
  auto id = run(pod());
  auto target = launch(id, script("target", "sleep 1000"));
  auto spec = script("debug", "ps | grep -c '[s]leep 1000'");
  spec.security.namespaces = {.pid = NamespaceMode::target, .target_id = target.brief()};
  wait_exit(launch(id, spec));
  EXPECT_NE(read(dir + "/logs/debug.log").find(" stdout F 1\n"), std::string::npos) << read(dir + "/logs/debug.log");
}

}  // namespace
}  // namespace podshim::lifecycle::test
