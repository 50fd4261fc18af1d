// What a Pod may ask for, and what may go wrong: each Pod applied to the running podlet, looked at, deleted.
#include "tests/e2e/node-podlet/podlet_suite.h"

namespace podshim::test {
namespace {

using namespace std::chrono_literals;

class PodletPods : public PodletSuite {
 public:
  static void SetUpTestSuite() { start_node(); }

 protected:
  // A Pod of busybox containers; `spec` lines are indented by two.
  static std::string pod(const std::string& name, const std::string& spec) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: " + name +
           "}}\nspec:\n  terminationGracePeriodSeconds: 1\n" + spec;
  }
  static std::string container(const std::string& script, const std::string& more = "",
                               const std::string& name = "main") {
    return "  - name: " + name + "\n    image: podshim.dev/probe:1\n    command: [sh, -c, '" + script + "']\n" + more;
  }
  static std::string logs(const std::string& pod, const std::string& name = "main") {
    return podlet({"logs", pod, "-c", name}).out;
  }
  void start(const std::string& yaml, const std::string& name) {
    auto out = apply(yaml);
    ASSERT_EQ(out.exit_code, 0) << out.out << out.err;
    started_.push_back(name);
  }
  void TearDown() override {
    for (const auto& name : started_) {
      auto gone = podlet({"delete", "pod", name});
      EXPECT_EQ(gone.exit_code, 0) << gone.err;
    }
  }
  std::vector<std::string> started_;
};

const char* kSleep = "trap \"exit 0\" TERM; while :; do sleep 1 & wait $!; done";

TEST_F(PodletPods, InitContainersThenMain) {
  start(pod("init", "  restartPolicy: Never\n  volumes: [{name: v, emptyDir: {}}]\n  initContainers:\n" +
                        container("echo one >/v/f", "    volumeMounts: [{name: v, mountPath: /v}]\n", "first") +
                        container("echo two >>/v/f", "    volumeMounts: [{name: v, mountPath: /v}]\n", "second") +
                        "  containers:\n" + container("cat /v/f", "    volumeMounts: [{name: v, mountPath: /v}]\n")),
        "init");
  EXPECT_TRUE(eventually([] { return status("init") == "Completed"; })) << podlet({"describe", "pod", "init"}).out;
  EXPECT_EQ(logs("init"), "one\ntwo\n");
}

TEST_F(PodletPods, EnvironmentVolumesUser) {
  auto out = apply(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {greeting: hello, file.txt: from a file}\n");
  ASSERT_EQ(out.exit_code, 0) << out.out;
  start(pod("env",
            "  restartPolicy: Never\n  hostname: myhost\n  securityContext: {runAsUser: 33, runAsGroup: 33}\n"
            "  volumes: [{name: c, configMap: {name: conf}}, {name: h, hostPath: {path: " +
                node->dir() + "/host, type: DirectoryOrCreate}}]\n  containers:\n" +
                container("echo $GREETING $NAME $IP; hostname; id -u; cat /c/file.txt; ls -d /h",
                          "    env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: conf, key: greeting}}}, "
                          "{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: IP, valueFrom: "
                          "{fieldRef: {fieldPath: status.podIP}}}]\n"
                          "    volumeMounts: [{name: c, mountPath: /c, readOnly: true}, {name: h, mountPath: /h}]\n"
                          "    resources: {limits: {cpu: 500m, memory: 64Mi}}\n")),
        "env");
  ASSERT_TRUE(eventually([] { return status("env") == "Completed"; })) << podlet({"describe", "pod", "env"}).out;
  auto text = logs("env");
  EXPECT_TRUE(text.starts_with("hello env 10.42.")) << text;
  EXPECT_NE(text.find("\nmyhost\n33\nfrom a file/h\n"), std::string::npos) << text;
  EXPECT_EQ(podlet({"delete", "configmap", "conf"}).exit_code, 0);
}

TEST_F(PodletPods, CrashLoopAndItsLogs) {
  start(pod("crash", "  containers:\n" + container("echo run; exit 7")), "crash");
  ASSERT_TRUE(eventually([] { return status("crash") == "CrashLoopBackOff"; })) << podlet({"get", "pods"}).out;
  auto page = podlet({"describe", "pod", "crash"}).out;
  EXPECT_NE(page.find("Exit Code:        7"), std::string::npos) << page;
  EXPECT_NE(page.find("back-off 10s"), std::string::npos) << page;
  EXPECT_EQ(logs("crash"), "run\n");
}

TEST_F(PodletPods, LivenessRestartsExecProbe) {
  start(pod("live", "  containers:\n" + container("touch /tmp/ok; sleep 2; rm /tmp/ok; " + std::string(kSleep),
                                                  "    livenessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: "
                                                  "1, failureThreshold: 1, initialDelaySeconds: 1}\n")),
        "live");
  EXPECT_TRUE(eventually([] {
    return podlet({"events"}).out.find("Liveness probe failed: exit code 1") != std::string::npos;
  })) << podlet({"events"}).out;
  EXPECT_TRUE(eventually([] {
    return text(get("pods", "live").find("status")->find("containerStatuses")->as_array()[0], "restartCount") == "1";
  }));
}

// The daemon is away for longer than failureThreshold times periodSeconds: nobody knows how the container is, so it is
// neither killed nor taken out of its Service. The timeout is that of a busy node: a call to a daemon that is away
// fails at once, which "errored" tells.
TEST_F(PodletPods, ADaemonThatIsAwayFailsNoProbe) {
  auto probe = [](const char* kind) {
    return "    " + std::string(kind) +
           ": {exec: {command: [cat, /proc/version]}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 2}\n";
  };
  auto service =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: well}\nspec: {selector: {app: well}, ports: "
      "[{port: 80}]}\n";
  start(pod("well", "  containers:\n" + container(kSleep, probe("livenessProbe") + probe("readinessProbe"))) + service,
        "well");
  ASSERT_TRUE(eventually([] { return endpoints("well").size() == 1; })) << podlet({"describe", "pod", "well"}).out;
  auto before = get("pods", "well").find("status")->find("containerStatuses")->as_array()[0];
  node->stop_daemon(SIGKILL);
  auto end = std::chrono::steady_clock::now() + 5s;
  while (std::chrono::steady_clock::now() < end) {
    EXPECT_EQ(endpoints("well").size(), 1u);
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_NE(podlet({"events"}).out.find("Liveness probe errored: "), std::string::npos) << podlet({"events"}).out;
  ASSERT_TRUE(node->start_daemon()) << node->log();
  std::this_thread::sleep_for(3s);
  EXPECT_EQ(endpoints("well").size(), 1u);
  auto after = get("pods", "well").find("status")->find("containerStatuses")->as_array()[0];
  EXPECT_EQ(text(after, "restartCount"), "0");
  EXPECT_EQ(text(after, "containerID"), text(before, "containerID"));
  EXPECT_EQ(podlet({"delete", "service", "well"}).exit_code, 0);
}

TEST_F(PodletPods, HostNetworkAndSharedProcesses) {
  start(pod("host", "  hostNetwork: true\n  containers:\n" +
                        container("ip -o link | grep -c podshim0; " + std::string(kSleep))),
        "host");
  EXPECT_TRUE(eventually([] { return logs("host") == "1\n"; })) << podlet({"describe", "pod", "host"}).out;
  start(pod("share", "  shareProcessNamespace: true\n  containers:\n" +
                         container("sleep 1; ps | grep -c [l]eet; " + std::string(kSleep)) +
                         container("echo leet >/dev/null; " + std::string(kSleep), "", "other")),
        "share");
  EXPECT_TRUE(eventually([] {
    auto n = logs("share");
    return !n.empty() && n != "0\n";
  })) << logs("share");
}

TEST_F(PodletPods, SidecarComesFirstAndGoesLast) {
  start(pod("side",
            "  initContainers:\n" +
                container("trap \"echo sidecar ends; exit 0\" TERM; echo up; while :; do sleep 1 & wait $!; done",
                          "    restartPolicy: Always\n", "helper") +
                "  containers:\n" +
                container("trap \"echo main ends; exit 0\" TERM; echo main; while :; do sleep 1 & wait $!; done")),
        "side");
  EXPECT_TRUE(eventually([] { return podlet({"get", "pods", "side"}).out.find("2/2") != std::string::npos; }))
      << podlet({"get", "pods"}).out;
  EXPECT_EQ(podlet({"delete", "pod", "side"}).exit_code, 0);
  started_.clear();
  auto events = podlet({"events"}).out;
  auto main = events.find("stopping container main: podlet delete"),
       helper = events.find("stopping container helper: podlet delete");
  ASSERT_NE(helper, std::string::npos) << events;
  EXPECT_LT(main, helper) << "the sidecar ends after the main container";
}

TEST_F(PodletPods, ErrorsAreTold) {
  struct Case {
    const char* name;
    std::string yaml;
    const char* status;
    const char* want;
  };
  const Case cases[] = {
      {"noimage",
       pod("noimage", "  containers: [{name: main, image: \"podshim.dev/none:1\", imagePullPolicy: Never}]\n"),
       "ErrImageNeverPull", "imagePullPolicy is Never"},
      {"nopull", pod("nopull", "  containers: [{name: main, image: \"127.0.0.1:1/none:1\"}]\n"), "ImagePullBackOff",
       "127.0.0.1:1/none:1"},
      {"nocommand",
       pod("nocommand", "  containers: [{name: main, image: \"podshim.dev/busybox:1\", command: [/no/such]}]\n"), "",
       "/no/such"},
      {"noconfig",
       pod("noconfig",
           "  containers: [{name: main, image: \"podshim.dev/busybox:1\", env: [{name: A, valueFrom: {configMapKeyRef: "
           "{name: none, key: k}}}]}]\n"),
       "CreateContainerConfigError", "there is no ConfigMap/default/none"},
      {"nomount",
       pod("nomount",
           "  volumes: [{name: v, hostPath: {path: /no/such/dir, type: Directory}}]\n  containers: [{name: main, "
           "image: \"podshim.dev/busybox:1\", volumeMounts: [{name: v, mountPath: /v}]}]\n"),
       "CreateContainerConfigError", "/no/such/dir"},
      {"noroot",
       pod("noroot",
           "  securityContext: {runAsNonRoot: true}\n  containers: [{name: main, image: \"podshim.dev/busybox:1\", "
           "command: [sleep, \"9\"]}]\n"),
       "CreateContainerConfigError", "the image runs as root"},
  };
  for (const auto& c : cases) {
    start(c.yaml, c.name);
    auto told = [&] { return podlet({"describe", "pod", c.name}).out.find(c.want) != std::string::npos; };
    EXPECT_TRUE(eventually(told)) << c.name << podlet({"describe", "pod", c.name}).out;
    if (*c.status == 0) continue;
    EXPECT_TRUE(eventually([&] { return status(c.name) == c.status; })) << c.name << ": " << status(c.name);
  }
}

TEST_F(PodletPods, GroupWithoutUserStandsBesideTheImagesUser) {
  start(pod("group",
            "  restartPolicy: Never\n  securityContext: {runAsGroup: 33}\n  containers:\n" + container("id -u; id -g")),
        "group");
  EXPECT_TRUE(eventually([] { return status("group") == "Completed"; })) << podlet({"describe", "pod", "group"}).out;
  EXPECT_EQ(logs("group"), "0\n33\n");
}

TEST_F(PodletPods, ResolvConfByPolicy) {
  struct Case {
    const char* name;
    const char* lines;
    const char* want;  // how the file begins
  };
  const Case cases[] = {
      {"dns-cluster", "", "search default.svc.cluster.local svc.cluster.local cluster.local"},
      {"dns-hostnet", "  hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet\n", "nameserver 10.43.0.10\n"},
      {"dns-options", "  dnsConfig: {options: [{name: ndots, value: \"2\"}]}\n", "options ndots:2\n"},
      {"dns-none", "  dnsPolicy: None\n  dnsConfig: {nameservers: [192.0.2.53], searches: [a.example]}\n",
       "nameserver 192.0.2.53\n"},
  };
  for (const auto& c : cases)
    start(pod(c.name, "  restartPolicy: Never\n" + std::string(c.lines) + "  containers:\n" +
                          container("cat /etc/resolv.conf")),
          c.name);
  start(pod("dns-default",
            "  restartPolicy: Never\n  dnsPolicy: Default\n  containers:\n" + container("cat /etc/resolv.conf")),
        "dns-default");
  for (const auto& c : cases) {
    EXPECT_TRUE(eventually([&] { return status(c.name) == "Completed"; })) << podlet({"describe", "pod", c.name}).out;
    auto file = logs(c.name);
    EXPECT_NE(file.find(c.want), std::string::npos) << c.name << "\n" << file;
    bool cluster = std::string(c.name) != "dns-none";
    EXPECT_EQ(file.find("nameserver 10.43.0.10") != std::string::npos, cluster) << c.name << "\n" << file;
  }
  EXPECT_TRUE(eventually([] { return status("dns-default") == "Completed"; }));
  EXPECT_EQ(logs("dns-default").find("10.43.0.10"), std::string::npos);
}

// More hanging postStarts than threads that start containers: another Pod's end is seen, others are started, and the
// hanging ones can be deleted.
TEST_F(PodletPods, HangingPostStartsHoldNobodyUp) {
  auto hang = "    lifecycle: {postStart: {exec: {command: [sleep, \"3600\"]}}}\n";
  for (int i = 0; i < 9; i++) {
    auto name = "hang-" + std::to_string(i);
    start(pod(name, "  containers:\n" + container(kSleep, hang)), name);
  }
  auto hooks = [] {
    auto out =
        node->run({"sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 360[0]' | wc -l"});
    return std::atoi(out.out.c_str());
  };
  ASSERT_TRUE(eventually([&] { return hooks() >= 9; })) << hooks() << podlet({"get", "pods"}).out;
  start(pod("beside", "  restartPolicy: Never\n  containers:\n" + container("echo done")), "beside");
  EXPECT_TRUE(eventually([] { return status("beside") == "Completed"; })) << podlet({"get", "pods"}).out;
  EXPECT_EQ(logs("beside"), "done\n");
  auto began = std::chrono::steady_clock::now();
  for (const auto& name : started_) EXPECT_EQ(podlet({"delete", "pod", name, "--no-wait"}).exit_code, 0) << name;
  EXPECT_TRUE(eventually([] { return podlet({"get", "pods"}).out.starts_with("No resources"); }))
      << podlet({"get", "pods"}).out;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 15s * slowness());
  started_.clear();
}

// The registry takes the connection and never says a word.
TEST_F(PodletPods, DeletingAPodGivesItsPullUp) {
  auto silent = node->spawn("silent", {"busybox", "nc", "-l", "-p", "5097", "-e", "sleep", "600"});
  auto sockets = [](const std::string& shown) {  // remote port and state of one of them; 13E9 = 5097
    return node->run({"sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 | grep -q '" + shown + "'"}).exit_code == 0;
  };
  ASSERT_TRUE(eventually([&] { return sockets(":13E9 [0-9A-F]*:0000 0A "); }));
  start(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: stuck}\nspec:\n  containers: [{name: main, image: "
      "\"127.0.0.1:5097/none:1\"}]\n",
      "stuck");
  ASSERT_TRUE(eventually([&] { return sockets(":13E9 01 "); })) << podlet({"events"}).out;
  auto began = std::chrono::steady_clock::now();
  auto gone = podlet({"delete", "pod", "stuck"});
  EXPECT_EQ(gone.exit_code, 0) << gone.err;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 15s * slowness()) << "pull-stall-seconds is 30";
  EXPECT_NE(podlet({"events"}).out.find("PullCanceled"), std::string::npos) << podlet({"events"}).out;
  started_.clear();
  node->stop(silent, SIGTERM);
}

TEST_F(PodletPods, GracePeriodOfDeleteFile) {
  auto stubborn = pod("stubborn", "  containers:\n" + container("trap : TERM; while :; do sleep 1; done"));
  stubborn.replace(stubborn.find("PeriodSeconds: 1\n"), 17, "PeriodSeconds: 60\n");
  start(stubborn, "stubborn");
  ASSERT_TRUE(eventually([] { return status("stubborn") == "Running"; }));
  auto began = std::chrono::steady_clock::now();
  auto gone = podlet({"delete", "-f", node->dir() + "/apply.yaml", "--grace-period", "1"});
  EXPECT_EQ(gone.exit_code, 0) << gone.err;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s * slowness());
  started_.clear();
}

// A bad file beside a good one: told with file and line, and the good one goes on.
TEST_F(PodletPods, BadManifests) {
  write("good.yaml", pod("good", "  containers:\n" + container(kSleep)));
  write("broken.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x\n");
  write("port.yaml", pod("port", "  containers: [{name: main, image: x, ports: [{containerPort: 99999}]}]\n"));
  write("typo.yaml", pod("typo", "  containers:\n" + container(kSleep) + "  restartPolicyy: Never\n"));
  EXPECT_TRUE(eventually([] { return status("good") == "Running" && status("typo") == "Running"; }))
      << podlet({"get", "pods"}).out;
  auto events = podlet({"events"}).out;
  EXPECT_NE(events.find("broken.yaml:"), std::string::npos) << events;
  EXPECT_NE(events.find("port.yaml:6: spec.containers[0].ports[0].containerPort: 99999 is outside 1..65535"),
            std::string::npos)
      << events;
  EXPECT_NE(events.find("restartPolicyy: is not a known field here, ignored"), std::string::npos) << events;
  for (const char* file : {"good.yaml", "broken.yaml", "port.yaml", "typo.yaml"})
    std::filesystem::remove(manifests() + "/" + file);
  EXPECT_TRUE(eventually([] { return podlet({"get", "pods"}).out.starts_with("No resources"); }))
      << podlet({"get", "pods"}).out;
}

// Gone for as long as it takes: whatever comes under the name later is read.
TEST_F(PodletPods, TheDirectoryIsMovedAwayAndMadeAnew) {
  std::filesystem::rename(manifests(), manifests() + ".old");
  EXPECT_TRUE(eventually([] { return podlet({"events"}).out.find(manifests() + ": ENOENT") != std::string::npos; }))
      << podlet({"events"}).out;
  std::filesystem::create_directories(manifests());
  write("late.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\ndata: {a: b}\n");
  const auto there = [] { return podlet({"get", "configmap", "late"}).exit_code == 0; };
  EXPECT_TRUE(eventually(there)) << podlet({"events"}).out;
  std::filesystem::remove(manifests() + "/late.yaml");
  EXPECT_TRUE(eventually([&] { return !there(); }));
}

TEST_F(PodletPods, NamespaceOfAFile) {
  auto file = node->dir() + "/ns.yaml";
  auto map = [&](const char* meta) {
    std::ofstream(file) << "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m" << meta << "}\ndata: {a: b}\n";
  };
  auto there = [](const char* name_space) {
    return podlet({"get", "configmap", "m", "-n", name_space}).exit_code == 0;
  };
  map("");
  EXPECT_EQ(podlet({"-n", "shop", "apply", "-f", file}).exit_code, 0);
  EXPECT_TRUE(there("shop"));
  EXPECT_FALSE(there("default"));
  EXPECT_EQ(podlet({"delete", "-f", file}).exit_code, 1) << "there is none in default";
  EXPECT_EQ(podlet({"delete", "-n", "shop", "-f", file}).exit_code, 0);
  EXPECT_FALSE(there("shop"));
  map(", namespace: bank");
  for (const char* verb : {"apply", "delete"}) {
    auto out = podlet({verb, "-f", file, "-n", "default"});
    EXPECT_EQ(out.exit_code, 1) << verb;
    EXPECT_NE(out.out.find("does not match the namespace \"default\""), std::string::npos) << out.out << out.err;
  }
  EXPECT_EQ(podlet({"apply", "-f", file}).exit_code, 0);
  EXPECT_TRUE(there("bank"));
  EXPECT_EQ(podlet({"delete", "-f", file}).exit_code, 0);
}

TEST_F(PodletPods, ClientErrors) {
  EXPECT_EQ(podlet({"get", "nodes"}).exit_code, 2);
  auto typo = podlet({"wait", "podz", "x", "--for", "delete"});
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_NE(typo.err.find("podz"), std::string::npos) << typo.err;
  EXPECT_EQ(podlet({"wait", "pod", "nobody", "--for", "delete"}).exit_code, 0);
  EXPECT_EQ(podlet({"get", "pods", "nobody"}).exit_code, 1);
  auto none = podlet({"frobnicate"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("frobnicate"), std::string::npos) << none.err;
  EXPECT_EQ(podlet({}).exit_code, 2);
  EXPECT_EQ(podlet({"--help"}).exit_code, 0);
  auto nobody = podlet({"describe", "pod", "nobody", "neither"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_NE(nobody.err.find("nobody"), std::string::npos) << nobody.err;
  EXPECT_NE(nobody.err.find("neither"), std::string::npos) << nobody.err;
  EXPECT_EQ(podlet({"delete", "pod"}).exit_code, 2);
  EXPECT_EQ(podlet({"exec", "nobody", "--", "true"}).exit_code, 1);
  EXPECT_EQ(podlet({"apply", "-f", "/no/such/file"}).exit_code, 1);
  EXPECT_EQ(node->run({program("podlet"), "--state", node->dir() + "/nowhere", "get", "pods"}).exit_code, 1);
  EXPECT_EQ(node->run({program("podlet"), "up", "/no/such/dir", "--state", node->dir() + "/other"}).exit_code, 1);
  EXPECT_EQ(node->run({program("podlet"), "--config", "/no/such/file", "get", "pods"}).exit_code, 2);
}

}  // namespace
}  // namespace podshim::test
