// A daemon that comes back finds its Pods as they were; one that died on the way leaves nothing.
#include <signal.h>

#include <algorithm>
#include <fstream>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Recover : public LifecycleTest {
 protected:
  void restart() {
    stop();
    start();
  }
  std::pair<std::vector<SandboxView>, std::vector<ContainerView>> answers() const {
    std::pair<std::vector<SandboxView>, std::vector<ContainerView>> out;
    auto s = runtime->snapshot();
    for (const auto& v : s->sandboxes) out.first.push_back(*v);
    for (const auto& v : s->containers) out.second.push_back(*v);
    return out;
  }
};

TEST_F(Recover, AnswersAreWhatTheyWere) {
  auto spec = pod();
  spec.shared_volumes = {"v"};
  auto id = run(spec);
  auto running = launch(id, script("running", "sleep 1000"));
  auto done = launch(id, script("done", "exit 4"));
  wait_exit(done);
  auto created = create(id, script("created", "exit 6"));
  auto stopped = run(pod("stopped"));
  ASSERT_TRUE(runtime->stop_sandbox(stopped.str()));
  runtime->wait_idle();
  auto before = answers();
  restart();
  auto after = answers();
  EXPECT_EQ(before.first, after.first);
  EXPECT_EQ(before.second, after.second);
  EXPECT_EQ(shell(running, "echo still"), "still");
  ASSERT_TRUE(runtime->start_container(created.str()));
  EXPECT_EQ(wait_exit(created).exit_code, 6);
  EXPECT_EQ(run(spec), id);
}

TEST_F(Recover, WhatEndedMeanwhileIsKnown) {
  auto id = run(pod());
  auto c = launch(id, script("c", "sleep 0.5; echo bye; exit 5"));
  stop();
  ASSERT_TRUE(eventually([&] { return sys::exists(dir + "/state/exits/" + c.str()); }));
  start();
  auto view = runtime->container(c.str()).value();
  EXPECT_EQ(view->state, ContainerState::exited);
  EXPECT_EQ(view->exit_code, 5);
  EXPECT_NE(read(dir + "/logs/c.log").find("bye"), std::string::npos);
}

TEST_F(Recover, ADeadMonitorEndsThePod) {
  auto id = run(pod());
  auto c = launch(id, script("c", "sleep 1000"));
  auto record = state::decode_sandbox(read(dir + "/root/sandboxes/" + id.str() + "/record.json")).value();
  ASSERT_GT(record.monitor.pid, 1);
  ASSERT_EQ(::kill(record.monitor.pid, SIGKILL), 0);
  auto view = wait_exit(c);
  EXPECT_EQ(view.exit_code, 137);
  EXPECT_EQ(view.reason, "Error");
  EXPECT_TRUE(eventually([&] { return runtime->sandbox(id.str()).value()->state == SandboxState::not_ready; }));
  EXPECT_FALSE(runtime->exec_sync(c.str(), {"true"}, seconds(1)));
  EXPECT_TRUE(runtime->stop_sandbox(id.str()));
}

TEST_F(Recover, AMonitorThatIsSilentKeepsItsPodAndHoldsUpNobody) {
  auto silent = run(pod("silent"));
  auto c = launch(silent, script("c", "sleep 1000"));
  auto lively = run(pod("lively"));
  auto d = launch(lively, script("d", "sleep 1000"));
  auto record = state::decode_sandbox(read(dir + "/root/sandboxes/" + silent.str() + "/record.json")).value();
  stop();
  ASSERT_EQ(::kill(record.monitor.pid, SIGSTOP), 0);
  const auto begin = std::chrono::steady_clock::now();
  start();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(9)) << "it waited for kKillPatience";
  EXPECT_EQ(runtime->sandbox(silent.str()).value()->state, SandboxState::ready);
  EXPECT_EQ(runtime->container(c.str()).value()->state, ContainerState::running);
  EXPECT_EQ(runtime->exec_sync(c.str(), {"true"}, seconds(1)).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(shell(d, "echo here"), "here");
  ASSERT_EQ(::kill(record.monitor.pid, SIGCONT), 0);
  EXPECT_TRUE(eventually([&] {
    runtime->adopt_unreached();
    return runtime->exec_sync(c.str(), {"true"}, seconds(5)).has_value();
  }));
}

TEST_F(Recover, AMonitorThatDiedMeanwhileToo) {
  auto id = run(pod());
  auto c = launch(id, script("c", "sleep 1000"));
  auto quick = launch(id, script("quick", "sleep 0.3; exit 9"));
  auto record = state::decode_sandbox(read(dir + "/root/sandboxes/" + id.str() + "/record.json")).value();
  stop();
  ASSERT_TRUE(eventually([&] { return sys::exists(dir + "/state/exits/" + quick.str()); }));
  ASSERT_EQ(::kill(record.monitor.pid, SIGKILL), 0);
  start();
  EXPECT_TRUE(eventually([&] {  // SIGKILL takes its time
    runtime->adopt_unreached();
    return runtime->sandbox(id.str()).value()->state == SandboxState::not_ready;
  }));
  EXPECT_EQ(wait_exit(c).exit_code, 137);
  EXPECT_EQ(wait_exit(quick).exit_code, 9) << "the exit record on disk was not read";
  auto next = pod();
  next.metadata.attempt = 1;
  run(next);
}

TEST_F(Recover, AnotherBootEndsEverything) {
  auto id = run(pod());
  auto c = launch(id, script("c", "sleep 1000"));
  // A machine that was restarted has no processes of before; here they are ended by hand.
  auto record = state::decode_sandbox(read(dir + "/root/sandboxes/" + id.str() + "/record.json")).value();
  stop();
  ASSERT_EQ(::kill(record.monitor.pid, SIGKILL), 0);
  std::ofstream(boot_id_file) << "boot-two\n";
  start();
  EXPECT_EQ(runtime->sandbox(id.str()).value()->state, SandboxState::not_ready);
  auto view = runtime->container(c.str()).value();
  EXPECT_EQ(view->state, ContainerState::exited);
  EXPECT_NE(view->message.find("restarted"), std::string::npos);
  auto next = pod();
  next.metadata.attempt = 1;
  run(next);
}

TEST_F(Recover, AnIntentIsRolledBack) {
  // As if the daemon had died after each step: everything is there, the record is still the intent.
  auto id = run(pod());
  const std::string path = dir + "/root/sandboxes/" + id.str() + "/record.json";
  auto record = state::decode_sandbox(read(path)).value();
  stop();
  record.created = record.ready = false;
  record.monitor = record.pause = {};
  record.ips.clear();
  record.network.result = {};
  sys::write_file_atomic(path, state::encode(record)).value();
  start();
  EXPECT_TRUE(runtime->snapshot()->sandboxes.empty());
  EXPECT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
}

TEST_F(Recover, TheSweepTakesWhatHasNoRecord) {
  auto keep = run(pod("keep"));
  auto spec = pod("lost");
  spec.cgroup_parent = cgroup_parent + "/burstable/pod-lost";  // a kubelet's: only the record knows it
  auto lost = run(spec);
  launch(lost, script("c", "sleep 1000"));
  wait_exit(launch(lost, script("ended", "exit 0")));
  ASSERT_EQ(list_cgroups(facts, spec.cgroup_parent, instance)->size(), 2U);
  stop();
  sys::write_file(dir + "/root/sandboxes/" + lost.str() + "/record.json", "{\"version\":1,", 0600).value();
  start();
  auto status = runtime->status();
  EXPECT_EQ(status.quarantined.size(), 3U) << testing::PrintToString(status.quarantined);  // and its containers
  EXPECT_EQ(runtime->sandbox(keep.str()).value()->state, SandboxState::ready);
  auto mine = [&] {
    std::vector<std::string> out;
    for (const auto& what : leftovers())
      if (what.find(lost.str()) != std::string::npos) out.push_back(what);
    return out;
  };
  EXPECT_TRUE(eventually([&] { return mine().empty(); })) << testing::PrintToString(mine());
  EXPECT_EQ(*list_cgroups(facts, spec.cgroup_parent, instance), std::vector<std::string>{});
  for (const auto& parent : {spec.cgroup_parent, cgroup_parent + "/burstable"})
    EXPECT_TRUE(remove_cgroup(pod_cgroup_paths(facts, parent), seconds(1)));
}

// What is alive goes by the id: exec, stats, stop and removal find their cgroups, and nothing stays.
TEST_F(Recover, ALostInstanceFileCostsNothing) {
  const std::string id_file = dir + "/root/instance", copy = dir + "/state/instance-copy", was = instance;
  std::string missing = "missing";
  for (const std::string& text : {std::string(), std::string(6, '\0'), std::string("{\"version\": 1"), missing}) {
    for (const bool with_copy : {true, false}) {
      SCOPED_TRACE(text + (with_copy ? ", a copy" : ", records"));
      auto spec = pod();
      spec.namespaces.pid = NamespaceMode::pod;
      auto id = run(spec);
      auto in = script("c", "sleep 1000 & sleep 1000");
      in.security.namespaces.pid = NamespaceMode::pod;
      auto c = launch(id, in);
      stop();
      if (text == missing)
        sys::remove_file(id_file).value();
      else
        sys::write_file(id_file, text, 0600).value();
      if (!with_copy) sys::remove_file(copy).value();
      start();
      EXPECT_EQ(instance, was);
      const auto told = runtime->status().quarantined;
      EXPECT_TRUE(std::ranges::any_of(told, [&](const auto& q) {
        return q.starts_with("instance: ") && q.find(was + " is from") != std::string::npos;
      })) << testing::PrintToString(told);
      EXPECT_EQ(shell(c, "echo in"), "in");
      auto stats = runtime->stats({runtime->container(c.str()).value()});
      EXPECT_TRUE(stats.size() == 1 && stats[0].usage && stats[0].usage->memory_usage_bytes > 0);
      auto stopped = runtime->stop_sandbox(id.str());
      EXPECT_TRUE(stopped) << stopped.error().text();
      EXPECT_TRUE(runtime->remove_sandbox(id.str()));
      runtime->wait_idle();
      instance = was;
      ASSERT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
    }
  }
}

TEST_F(Recover, NorDoesItWhenAllPodsHaveTheHostsNetwork) {
  const std::string was = instance;
  auto spec = pod();
  spec.namespaces.network = NamespaceMode::node;
  auto in = script("c", "sleep 1000");
  in.security.namespaces.network = NamespaceMode::node;
  auto id = run(spec);
  auto c = launch(id, in);
  stop();
  sys::write_file(dir + "/root/instance", "", 0600).value();
  sys::remove_file(dir + "/state/instance-copy").value();
  start();
  ASSERT_EQ(instance, was);
  EXPECT_EQ(shell(c, "echo in"), "in");
  EXPECT_TRUE(runtime->remove_sandbox(id.str()));
  runtime->wait_idle();
  EXPECT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
}

// An older daemon's, with the host's network, no copy: nothing tells the old id. The processes have names of their own.
TEST_F(Recover, AStopWhoseCgroupsAreMissingEndsWhatWasRecorded) {
  for (const bool silent : {false, true}) {
    SCOPED_TRACE(silent ? "the monitor is silent" : "the monitor answers");
    const std::string was = instance;
    auto spec = pod();
    spec.namespaces = {.network = NamespaceMode::node, .pid = NamespaceMode::pod};
    auto id = run(spec);
    auto in = container("c", {"sleep", "1000"});
    in.security.namespaces = spec.namespaces;
    auto c = launch(id, in);
    const std::string path = dir + "/root/sandboxes/" + id.str() + "/record.json";
    auto sandbox = state::decode_sandbox(read(path)).value();
    const auto record = state::decode_container(read(dir + "/root/containers/" + c.str() + "/record.json")).value();
    stop();
    sandbox.instance.clear();
    sys::write_file_atomic(path, state::encode(sandbox), 0600).value();
    ASSERT_EQ(::kill(sandbox.monitor.pid, silent ? SIGSTOP : SIGCONT), 0);
    sys::write_file(dir + "/root/instance", "", 0600).value();
    sys::remove_file(dir + "/state/instance-copy").value();
    start();
    ASSERT_NE(instance, was);
    auto stopped = runtime->stop_sandbox(id.str());
    EXPECT_TRUE(stopped) << stopped.error().text();
    for (const auto& process : {record.process, sandbox.monitor, sandbox.pause}) {
      ASSERT_GT(process.pid, 1);
      auto alive = sys::pidfd_open(process);
      EXPECT_TRUE(!alive || *sys::pidfd_wait(*alive, std::chrono::milliseconds(0))) << process.pid;
    }
    EXPECT_EQ(runtime->container(c.str()).value()->state, ContainerState::exited);
    EXPECT_TRUE(runtime->remove_sandbox(id.str()));
    for (const auto& paths :
         {container_cgroup_paths(facts, cgroup_parent, was, c), monitor_cgroup_paths(facts, was, id)}) {
      EXPECT_TRUE(kill_cgroup(paths, facts.cgroup_kill, seconds(5)));
      EXPECT_TRUE(remove_cgroup(paths, seconds(5)));
    }
  }
}

TEST_F(Recover, DamagedStateNeverKeepsTheDaemonFromStarting) {
  auto id = run(pod());
  launch(id, script("c", "sleep 1000"));
  std::vector<std::string> files = {dir + "/root/instance", dir + "/state/instance-copy"};
  for (const char* kind : {"/root/sandboxes/", "/root/containers/"}) {
    const auto names = sys::list_dir(dir + kind).value();
    for (const auto& name : names) files.push_back(dir + kind + name + "/record.json");
  }
  ASSERT_EQ(files.size(), 4U);
  for (const auto& file : files) {
    for (const std::string& text : {std::string(), std::string(100, '\0'), std::string("{\"version\": 1")}) {
      const std::string good = read(file);
      stop();
      sys::write_file(file, text, 0600).value();
      const auto begin = std::chrono::steady_clock::now();
      auto started = try_start();
      EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(4500))
          << file << ": it waited for a monitor, a kill or a removal (5 s, 10 s)";
      ASSERT_TRUE(started) << file << ": " << started.error().text();
      started->reset();
      sys::write_file_atomic(file, good, 0600).value();
    }
  }
  start();
}

TEST_F(Recover, ASecondDaemonIsRefused) {
  auto second = try_start();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find(dir + "/root"), std::string::npos) << second.error().text();
}

}  // namespace
}  // namespace podshim::lifecycle::test
