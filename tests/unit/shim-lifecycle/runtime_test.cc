#include <algorithm>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Lifecycle : public RuntimeTest {};

TEST_F(Lifecycle, UnknownIds) {
  for (const char* id : {"feed", "not-an-id", "3f2a0000-0000-4000-8000-000000000000"}) {
    EXPECT_TRUE(runtime->stop_sandbox(id));
    EXPECT_TRUE(runtime->remove_sandbox(id));
    EXPECT_TRUE(runtime->stop_container(id, seconds(1)));
    EXPECT_TRUE(runtime->remove_container(id));
    EXPECT_EQ(runtime->start_container(id).error().kind, ErrorKind::not_found);
    EXPECT_EQ(runtime->sandbox(id).error().kind, ErrorKind::not_found);
    EXPECT_EQ(runtime->container(id).error().kind, ErrorKind::not_found);
    EXPECT_EQ(runtime->create_container(id, container()).error().kind, ErrorKind::not_found);
    EXPECT_EQ(runtime->exec_sync(id, {"true"}, seconds(1)).error().kind, ErrorKind::not_found);
    EXPECT_EQ(runtime->reopen_log(id).error().kind, ErrorKind::not_found);
  }
  EXPECT_EQ(runtime->stop_sandbox("").error().kind, ErrorKind::invalid_argument);
}

// Every state x every verb.
TEST_F(Lifecycle, WhatEachStateAllows) {
  struct Case {
    ContainerState state;
    bool start, stop, exec, reopen, remove;
  } cases[] = {{ContainerState::created, true, true, false, false, true},
               {ContainerState::running, true, true, true, true, true},
               {ContainerState::exited, false, true, false, false, true}};
  auto sandbox = runtime->run_sandbox(pod()).value();
  int n = 0;
  for (const auto& c : cases) {
    for (const char* verb : {"start", "stop", "exec", "reopen", "remove"}) {
      auto id = runtime->create_container(sandbox.str(), container("c" + std::to_string(n++))).value();
      if (c.state != ContainerState::created) {
        ASSERT_TRUE(runtime->start_container(id.str()));
      }
      if (c.state == ContainerState::exited) machine.end(sandbox, id, 0);
      ASSERT_EQ(runtime->container(id.str()).value()->state, c.state);
      const std::string v = verb;
      const bool ok = v == "start"    ? runtime->start_container(id.str()).has_value()
                      : v == "stop"   ? runtime->stop_container(id.str(), seconds(0)).has_value()
                      : v == "exec"   ? runtime->exec_sync(id.str(), {"true"}, seconds(1)).has_value()
                      : v == "reopen" ? runtime->reopen_log(id.str()).has_value()
                                      : runtime->remove_container(id.str()).has_value();
      const bool want = v == "start"    ? c.start
                        : v == "stop"   ? c.stop
                        : v == "exec"   ? c.exec
                        : v == "reopen" ? c.reopen
                                        : c.remove;
      EXPECT_EQ(ok, want) << verb << " in state " << static_cast<int>(c.state);
    }
  }
}

TEST_F(Lifecycle, ExitReasons) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  struct Case {
    int code, signal;
    bool oom;
    const char* reason;
  } cases[] = {
      {0, 0, false, "Completed"}, {3, 0, false, "Error"}, {137, 9, false, "Error"}, {137, 9, true, "OOMKilled"}};
  int n = 0;
  for (const auto& c : cases) {
    auto id = runtime->create_container(sandbox.str(), container("c" + std::to_string(n++))).value();
    ASSERT_TRUE(runtime->start_container(id.str()));
    machine.events->container_exited(
        sandbox, {.id = id, .exit_code = c.code, .signal = c.signal, .oom_killed = c.oom, .finished_at_ns = 5});
    auto view = runtime->container(id.str()).value();
    EXPECT_EQ(view->state, ContainerState::exited);
    EXPECT_EQ(view->exit_code, c.code);
    EXPECT_EQ(view->reason, c.reason);
    EXPECT_EQ(view->pid, 0);
  }
}

TEST_F(Lifecycle, AnExitThatIsToldTwiceCountsOnce) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto id = runtime->create_container(sandbox.str(), container()).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  machine.end(sandbox, id, 4);
  machine.events->container_exited(sandbox, {.id = id, .exit_code = 9});
  EXPECT_EQ(runtime->container(id.str()).value()->exit_code, 4);
}

TEST_F(Lifecycle, PrefixesOfIds) {
  auto id = runtime->run_sandbox(pod()).value();
  EXPECT_EQ(runtime->sandbox(id.brief()).value()->id, id);
  EXPECT_TRUE(runtime->stop_sandbox(id.str().substr(0, 10)));
  EXPECT_EQ(runtime->sandbox(id.str()).value()->state, SandboxState::not_ready);
}

TEST_F(Lifecycle, AMonitorThatDiesEndsThePod) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto id = runtime->create_container(sandbox.str(), container()).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  machine.events->monitor_gone(sandbox);
  runtime->wait_idle();
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::not_ready);
  auto view = runtime->container(id.str()).value();
  EXPECT_EQ(view->exit_code, 137);
  EXPECT_EQ(view->reason, "Error");
  EXPECT_EQ(runtime->start_container(id.str()).error().kind, ErrorKind::failed_precondition);
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(Lifecycle, AMonitorThatIsSilentAtTheStartKeepsItsPod) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto id = runtime->create_container(sandbox.str(), container()).value();
  auto waiting = runtime->create_container(sandbox.str(), container("waiting")).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  const auto before = left();
  machine.silent_monitors = true;
  start();
  runtime->adopt_unreached();  // still silent
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::ready);
  EXPECT_EQ(runtime->container(id.str()).value()->state, ContainerState::running);
  EXPECT_EQ(left(), before);
  EXPECT_EQ(runtime->start_container(waiting.str()).error().kind, ErrorKind::unavailable);
  machine.silent_monitors = false;
  runtime->adopt_unreached();
  EXPECT_TRUE(runtime->start_container(waiting.str()));
}

TEST_F(Lifecycle, AListTellsTheStartThatALateMonitorTellsOf) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto id = runtime->create_container(sandbox.str(), container()).value();
  const auto path = dir + "/root/containers/" + id.str() + "/record.json";
  const auto created = sys::read_file(path).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  ASSERT_TRUE(sys::write_file(path, created, 0600));  // the daemon died before the record of the start
  machine.silent_monitors = true;
  start();
  EXPECT_EQ(runtime->snapshot()->container(id.str())->state, ContainerState::created);
  machine.silent_monitors = false;
  runtime->adopt_unreached();
  EXPECT_EQ(runtime->container(id.str()).value()->state, ContainerState::running);
  EXPECT_EQ(runtime->snapshot()->container(id.str())->state, ContainerState::running);
}

TEST_F(Lifecycle, APodWhoseMonitorIsSilentCanBeRemoved) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto id = runtime->create_container(sandbox.str(), container()).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  machine.silent_monitors = true;
  start();
  EXPECT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// Below version 1.1 there is no GC: only DEL frees the address.
TEST_F(Lifecycle, ADelThatFailedIsMadeUpForAlsoAfterARestart) {
  std::ofstream(dir + "/cni/a.conflist") << R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"one"}]})";
  auto sandbox = runtime->run_sandbox(pod()).value();
  machine.fail_del = true;
  EXPECT_FALSE(runtime->stop_sandbox(sandbox.str()));
  EXPECT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{"address " + sandbox.str()});
  start();
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(left(), std::vector<std::string>{"address " + sandbox.str()});
  machine.fail_del = false;
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(left(), std::vector<std::string>{});
  EXPECT_TRUE(sys::list_dir(dir + "/root/network-debts").value().empty());
}

TEST_F(Lifecycle, TheAddressesOfARecordThatIsSetAsideAreFreed) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  sys::write_file(dir + "/root/sandboxes/" + sandbox.str() + "/record.json", "{", 0600).value();
  machine.netns.clear();  // as after a restart of the machine
  start();
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(Lifecycle, AnswersSurviveARestart) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  auto running = runtime->create_container(sandbox.str(), container("running")).value();
  (void)runtime->create_container(sandbox.str(), container("created")).value();
  ASSERT_TRUE(runtime->start_container(running.str()));
  auto before = runtime->snapshot();
  start();
  auto after = runtime->snapshot();
  ASSERT_EQ(before->containers.size(), after->containers.size());
  EXPECT_EQ(*before->sandboxes[0], *after->sandboxes[0]);
  for (std::size_t i = 0; i < before->containers.size(); i++) EXPECT_EQ(*before->containers[i], *after->containers[i]);
}

TEST_F(Lifecycle, AnotherBootDecidesNotTheClock) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  machine.boot = "boot-2";
  machine.clock = 0;  // 1970
  start();
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::not_ready);
  auto again = pod();
  again.metadata.attempt = 1;
  EXPECT_TRUE(runtime->run_sandbox(again));
}

TEST_F(Lifecycle, TheSweepTakesWhatHasNoRecordAndNothingElse) {
  auto keep = runtime->run_sandbox(pod()).value();
  const auto before = left();
  const std::string inst = sys::read_file(dir + "/root/instance").value().substr(0, 6);
  const std::string orphan = "podshim-" + inst + "-" + std::string(64, 'c');
  machine.netns.insert(orphan);
  machine.addresses.insert(std::string(64, 'c'));
  machine.cgroups.insert("/podshim/" + orphan);
  machine.cgroups.insert("/podshim-" + inst + "/" + orphan);
  machine.netns.insert("podshim-ffffff-" + std::string(64, 'd'));  // another instance's
  std::filesystem::create_directories(dir + "/state/sandboxes/" + std::string(64, 'c'));
  std::filesystem::create_directories(dir + "/root/containers/" + std::string(64, 'e') + "/upper");
  runtime->sweep();
  runtime->wait_idle();
  machine.netns.erase("podshim-ffffff-" + std::string(64, 'd'));
  EXPECT_EQ(left(), before);
  EXPECT_EQ(runtime->sandbox(keep.str()).value()->state, SandboxState::ready);
}

// A walk over all cgroups is for the sweep, and only until what was set aside has gone.
TEST_F(Lifecycle, CgroupsOfWhatIsSetAsideAreLookedForOnce) {
  const auto lose = [&](const std::string& name) {
    auto spec = pod(name);
    spec.cgroup_parent = "/kubepods/" + name;  // only the record knows it
    auto sandbox = runtime->run_sandbox(spec).value();
    auto id = runtime->create_container(sandbox.str(), container()).value();
    ASSERT_TRUE(runtime->start_container(id.str()));
    sys::write_file(dir + "/root/sandboxes/" + sandbox.str() + "/record.json", "{", 0600).value();
  };
  sys::write_file(dir + "/root/instance", "", 0600).value();  // set aside, too, but no cgroup of it is lost
  start();
  ASSERT_EQ(runtime->status().quarantined.size(), 1U);
  runtime->sweep();
  EXPECT_EQ(machine.walks, 0);

  lose("one");
  machine.undying = "/kubepods/one";
  start();
  EXPECT_EQ(machine.walks, 0) << "a start does not wait for it";
  runtime->sweep();
  runtime->sweep();
  EXPECT_EQ(machine.walks, 1);
  start();
  machine.undying.clear();
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(machine.walks, 2) << "the sweep before could not remove all";
  EXPECT_EQ(left(), std::vector<std::string>{});
  start();
  runtime->sweep();
  EXPECT_EQ(machine.walks, 2) << "all has gone";

  lose("two");
  start();
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(machine.walks, 3);
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(Lifecycle, CreatingWhileTheSandboxIsRemovedLeavesNothing) {
  for (int round = 0; round < 20; round++) {
    auto sandbox = runtime->run_sandbox(pod("p" + std::to_string(round))).value();
    std::thread creator([&] {
      for (int i = 0; i < 5; i++) {
        auto id = runtime->create_container(sandbox.str(), container("c" + std::to_string(i)));
        if (id) (void)runtime->start_container(id->str());
      }
    });
    ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
    creator.join();
    runtime->wait_idle();
    EXPECT_EQ(left(), std::vector<std::string>{}) << round;
    EXPECT_TRUE(runtime->snapshot()->containers.empty());
  }
}

TEST_F(Lifecycle, StatusSaysWhatTheNetworkLacks) {
  std::filesystem::remove(dir + "/cni/a.conflist");
  auto status = runtime->status();
  EXPECT_TRUE(status.runtime.ok);
  EXPECT_FALSE(status.network.ok);
  EXPECT_NE(status.network.message.find(dir + "/cni"), std::string::npos);
}

TEST_F(Lifecycle, ASandboxWithoutANetworkConfigurationMayComeLater) {
  std::filesystem::remove(dir + "/cni/a.conflist");
  auto made = runtime->run_sandbox(pod());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::unavailable) << made.error().text();
  EXPECT_NE(made.error().text().find("cni plugin not initialized"), std::string::npos) << made.error().text();
}

// A lease that nobody has any more is what an ADD may fail for.
TEST_F(Lifecycle, AnAddThatFailedIsFollowedByAGc) {
  auto collected = [&] { return std::ranges::count(machine.plugin_calls, "GC "); };
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(collected(), 0);
  auto made = Result<SandboxId>(fail(Error()));
  for (int step = 1; machine.failed != "CNI ADD" && step < 30; step++) {
    machine.calls = 0;
    machine.fail_at = step;
    auto failing = pod();
    failing.metadata.name += std::to_string(step);
    made = runtime->run_sandbox(failing);
  }
  machine.fail_at = 0;
  ASSERT_FALSE(made);
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(collected(), 1);
  runtime->sweep();
  runtime->wait_idle();
  EXPECT_EQ(collected(), 1) << "once";
}

TEST_F(Lifecycle, PodCidr) {
  EXPECT_TRUE(runtime->set_pod_cidr(""));
  EXPECT_EQ(runtime->set_pod_cidr("10.42.1").error().kind, ErrorKind::invalid_argument);
  EXPECT_TRUE(runtime->set_pod_cidr("10.42.1.0/24,fd00::/64"));
  EXPECT_EQ(sys::read_file(dir + "/root/pod-cidr").value(), "10.42.1.0/24\n");
}

TEST_F(Lifecycle, PodCidrIntoTheTemplateUnlessThereIsAnother) {
  const std::string made = dir + "/cni/10-podshim-template.conflist", form = dir + "/cni/podshim.conflist.template";
  ASSERT_TRUE(sys::write_file(
      form, R"({"cniVersion":"1.1.0","name":"t","plugins":[{"type":"one","subnet":"{{.PodCIDR}}"}]})", 0644));
  ASSERT_TRUE(runtime->set_pod_cidr("10.42.1.0/24"));
  EXPECT_FALSE(sys::exists(made));  // a.conflist is somebody's
  std::filesystem::remove(dir + "/cni/a.conflist");
  EXPECT_FALSE(runtime->status().network.ok);
  ASSERT_TRUE(runtime->set_pod_cidr("10.42.1.0/24"));
  EXPECT_NE(sys::read_file(made).value_or("").find("10.42.1.0/24"), std::string::npos);
  const auto written = std::filesystem::last_write_time(made);
  ASSERT_TRUE(runtime->set_pod_cidr("10.42.1.0/24"));
  EXPECT_EQ(std::filesystem::last_write_time(made), written);
  ASSERT_TRUE(runtime->set_pod_cidr("10.42.2.0/24"));
  EXPECT_NE(sys::read_file(made).value_or("").find("10.42.2.0/24"), std::string::npos);
  // A template that cannot be used changes nothing.
  ASSERT_TRUE(sys::write_file(form, "{{.Unknown}}", 0644));
  EXPECT_EQ(runtime->set_pod_cidr("10.42.3.0/24").error().kind, ErrorKind::failed_precondition);
  EXPECT_NE(sys::read_file(made).value_or("").find("10.42.2.0/24"), std::string::npos);
  EXPECT_EQ(sys::read_file(dir + "/root/pod-cidr").value(), "10.42.2.0/24\n");
}

}  // namespace
}  // namespace podshim::lifecycle::test
