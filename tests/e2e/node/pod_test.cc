// Pods over CRI as a kubelet makes them: what the containers of a Pod share, what each has of its own, and how they
// end.
#include <fstream>
#include <regex>
#include <set>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

using ::testing::Test;

class PodTest : public NodeSuite {};

TEST_F(PodTest, SharesIpLocalhostHostnameAndIpc) {
  auto pod = run_pod();
  auto ip = node->cri().sandbox_status(pod.id).network().ip();
  EXPECT_TRUE(std::regex_match(ip, std::regex("10\\.42\\.[0-9]+\\.[0-9]+"))) << ip;
  auto server = container_config("server", kProbe, {});
  start(pod, server);
  auto client = start(pod, sleeper("client"));
  EXPECT_EQ(shell(client, "hostname"), pod.config.hostname() + "\n");
  EXPECT_NE(shell(client, "ip -4 addr show eth0 || ifconfig eth0").find(ip), std::string::npos);
  std::string answer;
  for (int i = 0; i < 50 && answer.find(pod.config.hostname()) == std::string::npos; i++)
    answer = shell(client, "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 127.0.0.1 8080 || sleep 0.1");
  EXPECT_NE(answer.find(pod.config.hostname()), std::string::npos) << answer;
  // The node reaches the Pod by its IP, with software that is not ours.
  auto curl = node->run({"curl", "-s", "--max-time", "5", "http://" + ip + ":8080/"});
  EXPECT_EQ(curl.exit_code, 0) << curl.err;
}

TEST_F(PodTest, TwoPodsHaveTwoAddressesAndANewOneEachTime) {
  auto first = run_pod();
  auto second = run_pod();
  auto a = node->cri().sandbox_status(first.id).network().ip(),
       b = node->cri().sandbox_status(second.id).network().ip();
  EXPECT_NE(a, b);
  ASSERT_TRUE(node->cri().stop_sandbox(first.id).ok());
  auto third = run_pod();
  auto c = node->cri().sandbox_status(third.id).network().ip();
  EXPECT_NE(c, a);
  EXPECT_NE(c, b);
}

TEST_F(PodTest, WritesResolvConfHostsAndEnvironment) {
  auto pod = run_pod([](auto& config) {
    config.mutable_dns_config()->add_servers("10.43.0.10");
    config.mutable_dns_config()->add_searches("default.svc.cluster.local");
    config.mutable_dns_config()->add_options("ndots:5");
  });
  auto config = sleeper("c");
  auto& env = *config.add_envs();
  env.set_key("GREETING");
  env.set_value("hello world");
  config.set_working_dir("/work/inner");
  auto id = start(pod, config);
  EXPECT_EQ(shell(id, "cat /etc/resolv.conf"),
            "search default.svc.cluster.local\nnameserver 10.43.0.10\noptions ndots:5\n");
  EXPECT_EQ(shell(id, "echo $GREETING; pwd"), "hello world\n/work/inner\n");
  auto ip = node->cri().sandbox_status(pod.id).network().ip();
  EXPECT_NE(shell(id, "cat /etc/hosts").find(ip + "\t" + pod.config.hostname()), std::string::npos);
}

TEST_F(PodTest, SharesVolumesOwnedByTheSandbox) {
  auto pod = run_pod([](auto& config) { (*config.mutable_annotations())["podshim.dev/volumes"] = "logs,cache"; });
  auto writer = sleeper("writer"), reader = sleeper("reader");
  for (auto* config : {&writer, &reader}) {
    auto& mount = *config->add_mounts();
    mount.set_host_path("volume:logs");
    mount.set_container_path("/var/log/app");
    mount.set_readonly(config == &reader);
  }
  auto w = start(pod, writer), r = start(pod, reader);
  shell(w, "echo from-writer > /var/log/app/line");
  EXPECT_EQ(shell(r, "cat /var/log/app/line"), "from-writer\n");
  EXPECT_NE(shell(r, "echo x > /var/log/app/other").find("Read-only file system"), std::string::npos);
  auto mounts = node->cri().container_status(r).mounts();
  ASSERT_EQ(mounts.size(), 1);
  EXPECT_EQ(mounts[0].host_path(), "volume:logs");
}

TEST_F(PodTest, HonoursEachNamespaceMode) {
  auto shared = run_pod([](auto& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(cri::NamespaceMode::POD);
  });
  auto config = sleeper("c");
  security(config).mutable_namespace_options()->set_pid(cri::NamespaceMode::POD);
  auto in_pod = start(shared, config);
  EXPECT_NE(shell(in_pod, "cat /proc/1/comm"), "sh\n");
  auto own = run_pod();
  auto alone = start(own, sleeper("c"));
  EXPECT_EQ(shell(alone, "cat /proc/1/comm"), "sh\n");
  auto targeting = sleeper("debugger");
  security(targeting).mutable_namespace_options()->set_pid(cri::NamespaceMode::TARGET);
  security(targeting).mutable_namespace_options()->set_target_id(alone);
  auto debugger = start(own, targeting);
  EXPECT_EQ(shell(debugger, "readlink /proc/self/ns/pid"), shell(alone, "readlink /proc/self/ns/pid"));

  auto host = run_pod([](auto& pod) {
    auto& options = *pod.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_network(cri::NamespaceMode::NODE);
    options.set_pid(cri::NamespaceMode::NODE);
    options.set_ipc(cri::NamespaceMode::NODE);
  });
  auto on_host = sleeper("c");
  auto& options = *security(on_host).mutable_namespace_options();
  options.set_network(cri::NamespaceMode::NODE);
  options.set_pid(cri::NamespaceMode::NODE);
  options.set_ipc(cri::NamespaceMode::NODE);
  auto id = start(host, on_host);
  auto here = [&](const char* kind) { return node->run({"readlink", std::string("/proc/self/ns/") + kind}).out; };
  EXPECT_EQ(shell(id, "readlink /proc/self/ns/net"), here("net"));
  EXPECT_EQ(shell(id, "readlink /proc/self/ns/pid"), here("pid"));
  EXPECT_EQ(shell(id, "readlink /proc/self/ns/ipc"), here("ipc"));
  EXPECT_EQ(node->cri().sandbox_status(host.id).network().ip(), "");
}

TEST_F(PodTest, AppliesTheSecurityContext) {
  auto pod = run_pod();
  struct Case {
    const char* name;
    std::function<void(cri::LinuxContainerSecurityContext&)> set;
    const char* command;
    const char* want;  // regex found in the output
  };
  const Case cases[] = {
      {"uid and gid",
       [](auto& s) {
         s.mutable_run_as_user()->set_value(1001);
         s.mutable_run_as_group()->set_value(1002);
         s.add_supplemental_groups(1234);
       },
       "id -u; id -g; id -G", "^1001\n1002\n.*1234"},
      {"user by name", [](auto& s) { s.set_run_as_username("nobody"); }, "id -un", "^nobody"},
      {"default capabilities", [](auto&) {}, "grep CapBnd /proc/self/status", "00000000a80425fb"},
      {"drop all", [](auto& s) { s.mutable_capabilities()->add_drop_capabilities("ALL"); },
       "grep CapBnd /proc/self/status", "0000000000000000"},
      {"add one", [](auto& s) { s.mutable_capabilities()->add_add_capabilities("NET_ADMIN"); },
       "grep CapEff /proc/self/status", "00000000a80435fb"},
      {"no new privs", [](auto& s) { s.set_no_new_privs(true); }, "grep NoNewPrivs /proc/self/status", "1"},
      {"seccomp default", [](auto& s) { s.mutable_seccomp()->set_profile_type(cri::SecurityProfile::RuntimeDefault); },
       "grep '^Seccomp:' /proc/self/status", "2"},
      {"seccomp unconfined", [](auto& s) { s.mutable_seccomp()->set_profile_type(cri::SecurityProfile::Unconfined); },
       "grep '^Seccomp:' /proc/self/status", "0"},
      {"masked file", [](auto& s) { s.add_masked_paths("/etc/passwd"); }, "wc -c < /etc/passwd", "^0"},
      {"masked directory", [](auto& s) { s.add_masked_paths("/bin/../etc"); }, "ls /etc | wc -l", "^0"},
      {"readonly path", [](auto& s) { s.add_readonly_paths("/tmp"); }, "touch /tmp/x", "Read-only file system"},
      {"readonly root", [](auto& s) { s.set_readonly_rootfs(true); }, "touch /x; touch /dev/shm/y && echo shm-ok",
       "shm-ok[^]*Read-only file system"},
      {"not privileged", [](auto&) {}, "mount -t tmpfs t /mnt", "denied|not permitted"},
      {"sysfs read-only", [](auto&) {}, "touch /sys/x", "Read-only|denied|not permitted"},
  };
  int index = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto config = sleeper("c" + std::to_string(index++));
    c.set(security(config));
    auto id = start(pod, config);
    auto out = shell(id, c.command);
    EXPECT_TRUE(std::regex_search(out, std::regex(c.want))) << out;
  }
}

TEST_F(PodTest, PrivilegedGetsDevicesAndMounts) {
  auto pod = run_pod([](auto& config) { config.mutable_linux()->mutable_security_context()->set_privileged(true); });
  auto config = sleeper("c");
  security(config).set_privileged(true);
  auto id = start(pod, config);
  EXPECT_EQ(shell(id, "mkdir -p /mnt/t && mount -t tmpfs t /mnt/t && echo mounted"), "mounted\n");
  EXPECT_NE(shell(id, "ls /dev | wc -l"), "0\n");
}

TEST_F(PodTest, LimitsMemoryCpuAndPids) {
  auto pod = run_pod();
  auto config = sleeper("limited");
  auto& resources = *config.mutable_linux()->mutable_resources();
  resources.set_memory_limit_in_bytes(64 << 20);
  resources.set_cpu_period(100000);
  resources.set_cpu_quota(50000);
  resources.set_cpu_shares(512);
  auto id = start(pod, config);
  cri::ListContainerStatsRequest request;
  request.mutable_filter()->set_id(id);
  cri::ListContainerStatsResponse stats;
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListContainerStats, request, &stats).ok());
  ASSERT_EQ(stats.stats_size(), 1);
  EXPECT_GT(stats.stats(0).cpu().usage_core_nano_seconds().value(), 0u);
  EXPECT_GT(stats.stats(0).memory().working_set_bytes().value(), 0u);
  EXPECT_LT(stats.stats(0).memory().working_set_bytes().value(), 64u << 20);
  auto find = node->run({"sh", "-c", "find /sys/fs/cgroup -type d -name '*" + id + "' | head -20"});
  ASSERT_NE(find.out, "");
  auto read = [&](const std::string& file) {
    return node->run({"sh", "-c", "cat $(find /sys/fs/cgroup -path '*" + id + "/" + file + "')"}).out;
  };
  bool v2 = find.out.find("/sys/fs/cgroup/memory") == std::string::npos;
  EXPECT_EQ(read(v2 ? "memory.max" : "memory.limit_in_bytes"), "67108864\n");
  EXPECT_EQ(read(v2 ? "cpu.max" : "cpu.cfs_quota_us"), v2 ? "50000 100000\n" : "50000\n");
  EXPECT_EQ(read(v2 ? "cpu.weight" : "cpu.shares"), v2 ? "20\n" : "512\n");
}

TEST_F(PodTest, ReportsExitCodesAndReasons) {
  auto pod = run_pod();
  std::string log;
  auto done = run_to_end(pod, script("ok", "echo one; echo two >&2; printf three"), &log);
  EXPECT_EQ(done.exit_code(), 0);
  EXPECT_EQ(done.reason(), "Completed");
  EXPECT_TRUE(std::regex_search(log, std::regex("^\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z? ?\\S* ?stdout F one\n"))) << log;
  EXPECT_NE(log.find("stderr F two\n"), std::string::npos) << log;
  EXPECT_NE(log.find("stdout F three\n"), std::string::npos) << log;  // closed at the end of output
  auto failed = run_to_end(pod, script("bad", "exit 42"));
  EXPECT_EQ(failed.exit_code(), 42);
  EXPECT_EQ(failed.reason(), "Error");
  auto hog = script("hog", "x=a; while :; do x=$x$x; done");
  hog.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(15 << 20);
  hog.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(15 << 20);
  auto oom = run_to_end(pod, hog);
  EXPECT_EQ(oom.reason(), "OOMKilled");
  EXPECT_EQ(oom.exit_code(), 137);
  EXPECT_EQ(node->cri().sandbox_status(pod.id).state(), cri::SANDBOX_READY);
}

TEST_F(PodTest, ExecSyncSeparatesOutputsAndKillsTheSubtreeOnTimeout) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  cri::ExecSyncResponse out;
  ASSERT_TRUE(node->cri().exec(id, {"sh", "-c", "echo out; echo err >&2; exit 3"}, 5, &out).ok());
  EXPECT_EQ(out.stdout(), "out\n");
  EXPECT_EQ(out.stderr(), "err\n");
  EXPECT_EQ(out.exit_code(), 3);
  auto status = node->cri().exec(id, {"sh", "-c", "(sleep 4321 &) ; (sleep 4321 & wait) & sleep 4321"}, 1, &out);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << status.error_message();
  EXPECT_EQ(shell(id, "ps | grep '[s]leep 4321'; true"), "");
  EXPECT_EQ(node->cri().container_status(id).state(), cri::CONTAINER_RUNNING);
  status = node->cri().exec(id, {"/no/such/program"}, 5, &out);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_message().find("/no/such/program"), std::string::npos) << status.error_message();
}

TEST_F(PodTest, StopsWithGraceThenByForce) {
  auto pod = run_pod();
  auto polite = start(pod, script("polite", "trap 'exit 7' TERM; touch /tmp/set; while :; do sleep 0.1; done"));
  shell(polite, "until [ -e /tmp/set ]; do sleep 0.05; done");
  ASSERT_TRUE(node->cri().stop(polite, 10).ok());
  EXPECT_EQ(node->cri().container_status(polite).exit_code(), 7);
  auto deaf = start(pod, script("deaf", "trap '' TERM; touch /tmp/set; while :; do sleep 0.1; done"));
  shell(deaf, "until [ -e /tmp/set ]; do sleep 0.05; done");
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(node->cri().stop(deaf, 1).ok());
  auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, std::chrono::milliseconds(900));
  EXPECT_LT(took, std::chrono::seconds(5));
  EXPECT_EQ(node->cri().container_status(deaf).exit_code(), 137);
}

TEST_F(PodTest, StopsWithTheSignalOfTheRequest) {
  auto pod = run_pod();
  auto config = script("c", "trap 'exit 21' USR1; trap 'exit 15' TERM; touch /tmp/set; while :; do sleep 0.05; done");
  config.set_stop_signal(cri::SIG_USR1);
  auto id = start(pod, config);
  EXPECT_EQ(node->cri().container_status(id).stop_signal(), cri::SIG_USR1);
  shell(id, "until [ -e /tmp/set ]; do sleep 0.05; done");
  ASSERT_TRUE(node->cri().stop(id, 10).ok());
  EXPECT_EQ(node->cri().container_status(id).exit_code(), 21);
}

TEST_F(PodTest, ReopensTheLog) {
  auto pod = run_pod();
  auto config = script("c", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done");
  config.set_log_path("c/0.log");
  auto id = start(pod, config);
  auto path = node->cri().container_status(id).log_path();
  EXPECT_TRUE(path.starts_with('/'));
  ASSERT_EQ(node->run({"mv", path, path + ".1"}).exit_code, 0);
  cri::ReopenContainerLogRequest request;
  request.set_container_id(id);
  cri::ReopenContainerLogResponse response;
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ReopenContainerLog, request, &response).ok());
  ASSERT_EQ(node->run({"test", "-e", path}).exit_code, 0);
  const auto written = [&] { return node->run({"cat", path}).out.find("line") != std::string::npos; };
  for (int i = 0; i < 200 && !written(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(written());
}

TEST_F(PodTest, TtyOutputGoesToTheLog) {
  auto pod = run_pod();
  auto config = script("c", "test -t 0 && test -t 1 && echo a terminal; stty size");
  config.set_tty(true);
  config.set_stdin(true);
  std::string log;
  auto status = run_to_end(pod, config, &log);
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_NE(log.find("stdout F a terminal"), std::string::npos) << log;
}

TEST_F(PodTest, ListsAndFilters) {
  auto pod = run_pod([](auto& config) { (*config.mutable_labels())["app"] = "a"; });
  auto other = run_pod([](auto& config) { (*config.mutable_labels())["app"] = "b"; });
  cri::ListPodSandboxRequest request;
  cri::ListPodSandboxResponse response;
  (*request.mutable_filter()->mutable_label_selector())["app"] = "a";
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListPodSandbox, request, &response).ok());
  ASSERT_EQ(response.items_size(), 1);
  EXPECT_EQ(response.items(0).id(), pod.id);
  request.mutable_filter()->mutable_state()->set_state(cri::SANDBOX_NOTREADY);
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListPodSandbox, request, &response).ok());
  EXPECT_EQ(response.items_size(), 0);
}

TEST_F(PodTest, HostMountTableGrowsByOnePerPod) {
  // This node's own: others mount on this machine meanwhile.
  auto lines = [instance = "podshim-" + node->instance()] {
    std::ifstream table("/proc/self/mountinfo");
    std::set<std::string> own;
    for (std::string line; std::getline(table, line);)
      if (line.find(node->dir()) != std::string::npos || line.find(instance) != std::string::npos) own.insert(line);
    return own;
  };
  const auto before = lines();
  auto pod = run_pod();
  start(pod, sleeper("a"));
  auto id = start(pod, sleeper("b"));
  shell(id, "true");
  const auto after = lines();
  EXPECT_EQ(after.size(), before.size() + 1)
      << "before: " << ::testing::PrintToString(before) << "\nafter: " << ::testing::PrintToString(after);
}

TEST_F(PodTest, BindMountsHonourPropagationAndNesting) {
  auto pod = run_pod();
  auto data = node->dir() + "/data";
  node->run({"sh", "-c",
             "mkdir -p " + data + "/inner && echo outer > " + data + "/f && echo in > " + data +
                 "/inner/g && ln -sfn " + data + " " + data + "-link"});
  auto config = sleeper("c");
  struct M {
    const char* target;
    std::string source;
    bool readonly;
  } mounts[] = {
      {"/data/sub/file", data + "/inner/g", true}, {"/data", data + "-link", false}, {"/new/made/dir", data, true}};
  for (const auto& m : mounts) {
    auto& mount = *config.add_mounts();
    mount.set_container_path(m.target);
    mount.set_host_path(m.source);
    mount.set_readonly(m.readonly);
  }
  auto id = start(pod, config);
  EXPECT_EQ(shell(id, "cat /data/f /data/sub/file /new/made/dir/f"), "outer\nin\nouter\n");
  EXPECT_NE(shell(id, "echo x > /new/made/dir/f").find("Read-only"), std::string::npos);
  EXPECT_EQ(shell(id, "echo changed > /data/f; cat /new/made/dir/f"), "changed\n");
}

// Images as volumes, a whole one and a part; they stay when the daemon went between create and start, and when the
// image is removed under a running container.
TEST_F(PodTest, MountsImagesAsVolumes) {
  auto pod = run_pod();
  auto config = sleeper("c");
  struct M {
    const char *target, *sub_path;
  };
  for (const auto& m : {M{"/whole", ""}, M{"/part", "www"}}) {
    auto& mount = *config.add_mounts();
    mount.set_container_path(m.target);
    mount.mutable_image()->set_image(kProbe);
    mount.set_image_sub_path(m.sub_path);
    mount.set_readonly(true);
  }
  auto id = create(pod, config);
  node->stop_daemon(SIGKILL);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  ASSERT_TRUE(node->cri().start(id).ok()) << node->log();
  EXPECT_EQ(shell(id, "cat /whole/www/index.html /part/index.html; ls /whole/bin/probe"),
            "hello\nhello\n/whole/bin/probe\n");
  EXPECT_NE(shell(id, "touch /part/x 2>&1").find("Read-only"), std::string::npos);
  EXPECT_NE(shell(id, "mount -o remount,rw /whole 2>&1; touch /whole/x 2>&1").find("Read-only"), std::string::npos);
  auto status = node->cri().container_status(id);
  ASSERT_EQ(status.mounts_size(), 2);
  EXPECT_EQ(status.mounts(0).image().image(), kProbe);
  EXPECT_TRUE(status.mounts(0).image().image_ref().starts_with("sha256:")) << status.mounts(0).image().image_ref();
  EXPECT_EQ(status.mounts(1).image_sub_path(), "www");
}

}  // namespace
}  // namespace podshim::test
