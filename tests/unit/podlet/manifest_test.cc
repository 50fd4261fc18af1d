#include "podlet/manifest.h"

#include <gtest/gtest.h>

namespace podshim::podlet {
namespace {

const char* kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: main
    image: probe:1
)";

std::string pod_with(const std::string& container_lines, const std::string& spec_lines = "") {
  return std::string(kPod) + container_lines + spec_lines;
}

const kube::Pod& only_pod(const Manifest& m) { return std::get<kube::Pod>(m.objects.at(0).value); }

TEST(Manifest, DefaultsAreKubernetes) {
  auto m = decode_manifest(pod_with("    readinessProbe: {httpGet: {path: ready, port: http}}\n"), "web.yaml");
  ASSERT_EQ(m.objects.size(), 1u) << (m.errors.empty() ? "" : m.errors[0].text);
  const auto& pod = only_pod(m);
  const auto& c = pod.spec.containers[0];
  EXPECT_EQ(pod.meta.name_space, "default");
  EXPECT_EQ(pod.spec.restart_policy, kube::RestartPolicy::always);
  EXPECT_EQ(pod.spec.grace, std::chrono::seconds(30));
  EXPECT_EQ(pod.spec.dns_policy, kube::DnsPolicy::cluster_first);
  EXPECT_EQ(c.pull_policy, kube::PullPolicy::if_not_present);
  ASSERT_TRUE(c.readiness);
  EXPECT_EQ(c.readiness->period, std::chrono::seconds(10));
  EXPECT_EQ(c.readiness->timeout, std::chrono::seconds(1));
  EXPECT_EQ(c.readiness->success_threshold, 1);
  EXPECT_EQ(c.readiness->failure_threshold, 3);
  EXPECT_EQ(std::get<kube::HttpAction>(c.readiness->handler).path, "/ready");
}

TEST(Manifest, PullPolicyByTag) {
  struct Case {
    const char* image;
    kube::PullPolicy want;
  };
  const Case cases[] = {{"busybox", kube::PullPolicy::always},
                        {"busybox:latest", kube::PullPolicy::always},
                        {"busybox:1", kube::PullPolicy::if_not_present},
                        {"host:5000/busybox", kube::PullPolicy::always},
                        {"host:5000/busybox:1", kube::PullPolicy::if_not_present},
                        {"busybox@sha256:00", kube::PullPolicy::if_not_present}};
  for (const auto& c : cases) EXPECT_EQ(kube::default_pull_policy(c.image), c.want) << c.image;
}

// One bad value each; the error says file, line and field.
TEST(Manifest, BadValues) {
  struct Case {
    const char* name;
    std::string text;
    const char* want;
  };
  const Case cases[] = {
      {"port out of range", pod_with("    ports: [{containerPort: 70000}]\n"),
       "web.yaml:9: spec.containers[0].ports[0].containerPort: 70000 is outside 1..65535"},
      {"port name", pod_with("    ports: [{containerPort: 80, name: HTTP}]\n"), "spec.containers[0].ports[0].name"},
      {"cpu", pod_with("    resources: {limits: {cpu: lots}}\n"),
       "spec.containers[0].resources.limits.cpu: \"lots\" is not a quantity"},
      {"negative", pod_with("    resources: {limits: {cpu: -1}}\n"),
       "spec.containers[0].resources.limits.cpu: -1 is negative"},
      {"request above limit", pod_with("    resources: {limits: {cpu: 1}, requests: {cpu: 2}}\n"),
       "cpu is above its limit"},
      {"two handlers", pod_with("    livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}\n"),
       "more than one of exec, httpGet, tcpSocket"},
      {"no handler", pod_with("    livenessProbe: {periodSeconds: 1}\n"), "names none of exec, httpGet, tcpSocket"},
      {"grpc", pod_with("    livenessProbe: {grpc: {port: 1}}\n"), "livenessProbe.grpc: is not supported"},
      {"https", pod_with("    livenessProbe: {httpGet: {port: 1, scheme: HTTPS}}\n"),
       "scheme: \"HTTPS\" is not supported"},
      {"liveness threshold", pod_with("    livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}\n"), "must be 1"},
      {"no such volume", pod_with("    volumeMounts: [{name: logs, mountPath: /logs}]\n"),
       "\"logs\" is not the name of a volume"},
      {"mount path twice",
       pod_with("    volumeMounts: [{name: a, mountPath: /x}, {name: a, mountPath: /x}]\n", "  volumes: [{name: a}]\n"),
       "is there twice"},
      {"volume type", pod_with("", "  volumes: [{name: a, nfs: {server: x}}]\n"), "volumes[0].nfs: is not supported"},
      {"hostPath dots", pod_with("", "  volumes: [{name: a, hostPath: {path: /a/../b}}]\n"), "holds \"..\""},
      {"restart policy", pod_with("", "  restartPolicy: Sometimes\n"),
       "\"Sometimes\" is none of Always, OnFailure, Never"},
      {"grace", pod_with("", "  terminationGracePeriodSeconds: -1\n"), "terminationGracePeriodSeconds"},
      {"env name", pod_with("    env: [{name: \"a=b\", value: c}]\n"), "is not the name of an environment variable"},
      {"env field", pod_with("    env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.x}}}]\n"),
       "is not a field env can show"},
      {"privilege", pod_with("    securityContext: {privileged: true, allowPrivilegeEscalation: false}\n"),
       "cannot be false in a privileged container"},
      {"dns servers", pod_with("", "  dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}\n"),
       "spec.dnsConfig.nameservers: must not have more than 3 nameservers"},
      {"dns none", pod_with("", "  dnsPolicy: None\n"), "needs nameservers"},
      {"container name",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: A_b, image: x}]}\n",
       "\"A_b\" is not a DNS label"},
      {"no containers", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "containers: is empty"},
      {"no name", "apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {containers: [{name: a, image: x}]}\n",
       "metadata.name: is missing"},
      {"no kind", "metadata: {name: a}\n", "apiVersion: is missing"},
      {"version", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
       "\"extensions/v1beta1\" is not apps/v1"},
      {"selector",
       "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {a: b}}, template: "
       "{metadata: {labels: {a: c}}, spec: {containers: [{name: a, image: x}]}}}\n",
       "does not match the template's labels a=c"},
      {"secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: '*'}\n",
       "data.k: holds a character that is not base64"},
  };
  for (const auto& c : cases) {
    auto m = decode_manifest(c.text, "web.yaml");
    ASSERT_EQ(m.errors.size(), 1u) << c.name;
    EXPECT_TRUE(m.objects.empty()) << c.name;
    EXPECT_NE(m.errors[0].text.find(c.want), std::string::npos) << c.name << ": " << m.errors[0].text;
    EXPECT_TRUE(m.errors[0].text.starts_with("web.yaml:")) << c.name << ": " << m.errors[0].text;
  }
}

// As kubectl's -n.
TEST(Manifest, ANamespaceThatIsAskedFor) {
  const std::string text =
      "kind: List\napiVersion: v1\nitems:\n"
      "- {apiVersion: v1, kind: ConfigMap, metadata: {name: none}}\n"
      "- {apiVersion: v1, kind: ConfigMap, metadata: {name: same, namespace: shop}}\n"
      "- {apiVersion: v1, kind: ConfigMap, metadata: {name: null-one, namespace: null}}\n"
      "- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: other\n    namespace: bank\n";
  auto m = decode_manifest(text, "f.yaml", "shop");
  std::vector<std::string> keys;
  for (const auto& o : m.objects) {
    keys.push_back(o.key.text());
    EXPECT_EQ(std::get<kube::ConfigMap>(o.value).meta.name_space, "shop");
    EXPECT_EQ(o.source.find("metadata")->find("namespace")->as_string(), "shop") << "so that it is kept";
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"ConfigMap/shop/none", "ConfigMap/shop/same", "ConfigMap/shop/null-one"}));
  ASSERT_EQ(m.errors.size(), 1u);
  EXPECT_TRUE(
      m.errors[0].text.starts_with("f.yaml:11: metadata.namespace: the namespace from the provided object "
                                   "\"bank\" does not match the namespace \"shop\""))
      << m.errors[0].text;
  EXPECT_EQ(m.errors[0].key.text(), "ConfigMap/bank/other");
  EXPECT_EQ(decode_manifest(text, "f.yaml").objects.size(), 4u);
  for (const char* bad : {"kind: ConfigMap\napiVersion: v1\n", "kind: ConfigMap\napiVersion: v1\nmetadata: [a]\n",
                          "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a, namespace: 7}\n"})
    EXPECT_EQ(decode_manifest(bad, "f.yaml", "shop").errors.size(), 1u) << bad;
}

TEST(Manifest, UnknownFieldIsAWarningWithLine) {
  auto m = decode_manifest(pod_with("    imagePullPolice: Never\n", "  hostNetwrok: true\n"), "web.yaml");
  ASSERT_EQ(m.objects.size(), 1u);
  ASSERT_EQ(m.warnings.size(), 2u);
  EXPECT_EQ(m.warnings[0], "web.yaml:9: spec.containers[0].imagePullPolice: is not a known field here, ignored");
  EXPECT_EQ(m.warnings[1], "web.yaml:10: spec.hostNetwrok: is not a known field here, ignored");
}

// What it would get silently otherwise: said, in Pods and in templates.
TEST(Manifest, MemoryVolumesAreSaidToBeOnDisk) {
  auto volumes = "  volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {medium: Memory}}]\n";
  auto m = decode_manifest(pod_with("", volumes), "web.yaml");
  ASSERT_EQ(m.objects.size(), 1u);
  ASSERT_EQ(m.warnings.size(), 1u);
  EXPECT_EQ(m.warnings[0],
            "web.yaml:9: spec.volumes[1].emptyDir.medium: Memory is not supported; the volume is kept on disk");
  auto workload = decode_manifest(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: b}}\n  "
      "template:\n"
      "    metadata: {labels: {a: b}}\n    spec:\n      containers: [{name: a, image: x}]\n      volumes:\n"
      "      - name: v\n        emptyDir:\n          medium: Memory\n",
      "w.yaml");
  ASSERT_EQ(workload.warnings.size(), 1u);
  EXPECT_TRUE(workload.warnings[0].starts_with("w.yaml:13: spec.template.spec.volumes[0].emptyDir.medium: "))
      << workload.warnings[0];
}

TEST(Manifest, OneBadObjectDoesNotTakeTheOthers) {
  auto text = std::string(kPod) +
              "---\napiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: 3}\n---\napiVersion: "
              "batch/v1\nkind: CronJob\nmetadata: {name: later}\n";
  auto m = decode_manifest(text, "all.yaml");
  EXPECT_EQ(m.objects.size(), 1u);
  ASSERT_EQ(m.errors.size(), 1u);
  EXPECT_EQ(m.errors[0].key.text(), "Pod/default/bad");
  ASSERT_EQ(m.warnings.size(), 1u);
  EXPECT_EQ(m.warnings[0], "all.yaml:15: kind CronJob (batch/v1) is not run by podlet; skipped");
}

TEST(Manifest, ListsAndNamespaces) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n- {apiVersion: "
      "v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: b}}\n",
      "l.yaml");
  EXPECT_TRUE(m.errors.empty());
  EXPECT_TRUE(m.warnings.empty());
  ASSERT_EQ(m.objects.size(), 1u);
  EXPECT_EQ(m.objects[0].key.text(), "ConfigMap/shop/c");
}

TEST(Manifest, BrokenYamlSaysWhere) {
  auto m = decode_manifest("apiVersion: v1\nkind: [Pod\nmetadata: {\n", "b.yaml");
  EXPECT_TRUE(m.broken);
  ASSERT_EQ(m.errors.size(), 1u);
  EXPECT_TRUE(m.errors[0].text.starts_with("b.yaml:")) << m.errors[0].text;
}

TEST(Manifest, SameObjectTwice) {
  auto m = decode_manifest(std::string(kPod) + "---" + kPod, "t.yaml");
  EXPECT_EQ(m.objects.size(), 1u);
  ASSERT_EQ(m.errors.size(), 1u);
  EXPECT_NE(m.errors[0].text.find("Pod/default/web is there twice"), std::string::npos);
}

TEST(Manifest, DeploymentStrategy) {
  auto m = decode_manifest(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 4\n  strategy: {rollingUpdate: "
      "{maxSurge: 0, maxUnavailable: 1}}\n  selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}\n  "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: x}]}}\n",
      "d.yaml");
  ASSERT_TRUE(m.errors.empty()) << m.errors[0].text;
  const auto& w = std::get<kube::Workload>(m.objects[0].value);
  EXPECT_EQ(w.replicas, 4);
  EXPECT_EQ(w.max_surge.of(4, true), 0);
  EXPECT_EQ(w.max_unavailable.of(4, false), 1);
  kube::CountOrPercent quarter{.number = 25, .percent = true};
  EXPECT_EQ(quarter.of(3, true), 1);
  EXPECT_EQ(quarter.of(3, false), 0);
}

TEST(Manifest, EndpointsBecomeSlices) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\nsubsets:\n- addresses: [{ip: 192.0.2.7}]\n  "
      "notReadyAddresses: [{ip: 192.0.2.8}]\n  ports: [{port: 5432}]\n",
      "e.yaml");
  ASSERT_TRUE(m.errors.empty()) << m.errors[0].text;
  const auto& slices = std::get<std::vector<kube::EndpointSlice>>(m.objects[0].value);
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(slices[0].service_name, "db");
  ASSERT_EQ(slices[0].endpoints.size(), 2u);
  EXPECT_TRUE(slices[0].endpoints[0].ready);
  EXPECT_FALSE(slices[0].endpoints[1].ready);
}

TEST(Manifest, SecretBytes) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: aGVsbG8=}\nstringData: {p: plain}\n", "s.yaml");
  ASSERT_TRUE(m.errors.empty()) << m.errors[0].text;
  const auto& map = std::get<kube::ConfigMap>(m.objects[0].value);
  EXPECT_EQ(map.data.at("k"), "hello");
  EXPECT_EQ(map.data.at("p"), "plain");
}

TEST(Manifest, KindWords) {
  EXPECT_EQ(kind_of_word("po"), "Pod");
  EXPECT_EQ(kind_of_word("Deployments.apps"), "Deployment");
  EXPECT_EQ(kind_of_word("svc"), "Service");
  EXPECT_EQ(kind_of_word("nodes"), "");
}

}  // namespace
}  // namespace podshim::podlet
