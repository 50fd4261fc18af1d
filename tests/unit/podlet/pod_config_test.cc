// Pods as CRI requests: environment, resources, sandbox and container configs.
#include <gtest/gtest.h>

#include "fakes.h"

namespace podshim::podlet {
namespace {

kube::PodSpec spec_of(const std::string& yaml_container) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - " + yaml_container + "\n", "t");
  EXPECT_TRUE(m.errors.empty()) << m.errors[0].text;
  return std::get<kube::Pod>(m.objects.at(0).value).spec;
}

TEST(Env, Expand) {
  std::map<std::string, std::string> vars = {{"A", "1"}, {"B", "x y"}};
  struct Case {
    const char *text, *want;
  };
  const Case cases[] = {{"$(A)", "1"},  {"a$(A)b$(B)", "a1bx y"}, {"$$(A)", "$(A)"}, {"$(C)", "$(C)"},
                        {"$A", "$A"},   {"$(A", "$(A"},           {"$", "$"},        {"$$", "$"},
                        {"$()", "$()"}, {"$$$(A)", "$1"}};
  for (const auto& c : cases) EXPECT_EQ(expand(c.text, vars), c.want) << c.text;
}

PodRecord record_of(const std::string& pod_yaml) {
  auto m = decode_manifest(pod_yaml, "t");
  EXPECT_TRUE(m.errors.empty()) << m.errors[0].text;
  return {.uid = "uid-1", .pod = std::get<kube::Pod>(m.objects.at(0).value), .template_hash = "h"};
}

TEST(Env, SourcesAndOrder) {
  auto record = record_of(R"y(
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: web}}
spec:
  containers:
  - name: c
    image: x
    command: ["run", "$(NAME)-$(IP)"]
    resources: {
  limits: {
  cpu:
    1500m, memory : 64Mi
  }}
    envFrom: [{prefix: M_, configMapRef: {name: m}}]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: URL, value: "http://$(IP):80/$(LATER)"}
    - {name: LATER, value: z}
    - {name: KEY, valueFrom: {configMapKeyRef: {name: m, key: k}}}
    - {name: MAYBE, valueFrom: {configMapKeyRef: {name: none, key: k, optional: true}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: WEB_SERVICE_PORT, value: "81"}
)y");
  NodeFacts node{.node_name = "n1", .podlet_id = "abc"};
  std::vector<std::string> ips = {"10.42.0.9"};
  ConfigMaps maps;
  maps["ConfigMap/default/m"].data = {{"k", "v"}};
  std::vector<std::pair<std::string, std::string>> links = {{"WEB_SERVICE_HOST", "10.43.0.1"},
                                                            {"WEB_SERVICE_PORT", "80"}};
  ContainerInput in{.record = record,
                    .container = record.pod.spec.containers[0],
                    .attempt = 2,
                    .pod_ips = ips,
                    .node = node,
                    .maps = maps,
                    .service_env = links};
  auto config = container_config(in);
  ASSERT_TRUE(config) << config.error().text();
  std::map<std::string, std::string> env(config->envs.begin(), config->envs.end());
  EXPECT_EQ(env["NAME"], "p");
  EXPECT_EQ(env["APP"], "web");
  EXPECT_EQ(env["NODE"], "n1");
  EXPECT_EQ(env["URL"], "http://10.42.0.9:80/$(LATER)");  // only what came before is known
  EXPECT_EQ(env["KEY"], "v");
  EXPECT_EQ(env["M_k"], "v");
  EXPECT_FALSE(env.contains("MAYBE"));
  EXPECT_EQ(env["CPU"], "2");
  EXPECT_EQ(env["MEM"], "64");
  EXPECT_EQ(env["WEB_SERVICE_HOST"], "10.43.0.1");
  EXPECT_EQ(env["WEB_SERVICE_PORT"], "81");
  EXPECT_EQ(config->command, (std::vector<std::string>{"run", "p-10.42.0.9"}));
  EXPECT_EQ(config->log_path, "c/2.log");
  EXPECT_EQ(config->labels.at("io.kubernetes.container.name"), "c");
  EXPECT_EQ(config->annotations.at("io.kubernetes.container.restartCount"), "2");
  maps.clear();
  auto missing = container_config(in);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("there is no ConfigMap/default/m"), std::string::npos);
}

TEST(Resources, QosAndCgroup) {
  struct Case {
    const char* resources;
    Qos qos;
    std::int64_t shares, quota, memory, score;
  };
  const Case cases[] = {{"{}", Qos::best_effort, 2, 0, 0, 1000},
                        {"{limits: {cpu: 500m, memory: 64Mi}}", Qos::guaranteed, 512, 50000, 67108864, -997},
                        {"{requests: {cpu: 250m}}", Qos::burstable, 256, 0, 0, 999},
                        {"{requests: {memory: 1Gi}, limits: {memory: 2Gi}}", Qos::burstable, 2, 0, 2147483648, 875},
                        {"{limits: {cpu: 1m}}", Qos::burstable, 2, 1000, 0, 999}};
  for (const auto& c : cases) {
    auto spec = spec_of(std::string("{name: c, image: x, resources: ") + c.resources + "}");
    EXPECT_EQ(pod_qos(spec), c.qos) << c.resources;
    auto r = container_resources(spec.containers[0], c.qos, 8LL << 30);
    EXPECT_EQ(r.cpu_shares, c.shares) << c.resources;
    EXPECT_EQ(r.cpu_quota, c.quota) << c.resources;
    EXPECT_EQ(r.memory_limit, c.memory) << c.resources;
    EXPECT_EQ(r.oom_score_adj, c.score) << c.resources;
  }
}

// As the kubelet writes it.
TEST(ContainerConfig, HostsFile) {
  struct Case {
    const char* spec;
    const char* want;  // lines after localhost; nullptr = the runtime's file stays
  };
  const Case cases[] = {
      {"", nullptr},
      {"hostname: first", nullptr},
      {"subdomain: sub", "10.42.0.9\tp.sub.shop.svc.example.org\tp\n"},
      {"hostname: first, subdomain: sub", "10.42.0.9\tfirst.sub.shop.svc.example.org\tfirst\n"},
      {"subdomain: sub, hostNetwork: true", nullptr},
      {"hostAliases: [{ip: 192.0.2.7, hostnames: [a, b]}]", "10.42.0.9\tp\n192.0.2.7\ta\tb\n"},
  };
  for (const auto& c : cases) {
    std::string more = *c.spec == 0 ? "" : std::string(", ") + c.spec;
    auto record = record_of(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: "
        "[{name: c, image: x}]" +
        more + "}\n");
    NodeFacts node{.node_name = "n1", .cluster_domain = "example.org"};
    std::vector<std::string> ips = {"10.42.0.9"};
    ConfigMaps maps;
    std::vector<std::pair<std::string, std::string>> links;
    ContainerInput in{.record = record,
                      .container = record.pod.spec.containers[0],
                      .pod_ips = ips,
                      .node = node,
                      .maps = maps,
                      .service_env = links};
    auto config = container_config(in);
    auto needs = volume_needs(in);
    ASSERT_TRUE(config && needs) << c.spec;
    ASSERT_EQ(config->mounts.size(), c.want == nullptr ? 0u : 1u) << c.spec;
    ASSERT_EQ(needs->files.size(), config->mounts.size()) << c.spec;
    if (c.want == nullptr) continue;
    EXPECT_EQ(config->mounts[0].container_path, "/etc/hosts");
    EXPECT_EQ(config->mounts[0].host_path, needs->files[0].directory + "/hosts");
    const auto& text = needs->files[0].files.at(0).second;
    EXPECT_TRUE(text.ends_with("ip6-loopback\n" + std::string(c.want))) << text;
  }
}

TEST(SandboxConfig, VolumesNamespacesDns) {
  auto record = record_of(R"(
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  shareProcessNamespace: true
  volumes: [{name: logs, emptyDir: {}}, {name: cache}, {name: host, hostPath: {path: /srv}}]
  containers:
  - {name: c, image: x, volumeMounts: [{name: logs, mountPath: /logs}, {name: host, mountPath: /srv, subPath: a, readOnly: true}], ports: [{containerPort: 80, hostPort: 8080}]}
)");
  NodeFacts node{.node_name = "n1", .cluster_dns = "10.43.0.10", .podlet_id = "abc"};
  auto config = sandbox_config(record, 1, node);
  EXPECT_EQ(config.annotations.at("podshim.dev/volumes"), "logs,cache");
  EXPECT_EQ(config.namespaces.pid, CriNamespace::pod);
  EXPECT_EQ(config.hostname, "p");
  EXPECT_EQ(config.dns->servers, std::vector<std::string>{"10.43.0.10"});
  EXPECT_EQ(config.ports.at(0).host_port, 8080);
  std::vector<std::string> ips;
  ConfigMaps maps;
  std::vector<std::pair<std::string, std::string>> links;
  ContainerInput in{.record = record,
                    .container = record.pod.spec.containers[0],
                    .pod_ips = ips,
                    .node = node,
                    .maps = maps,
                    .service_env = links};
  auto container = container_config(in);
  ASSERT_TRUE(container);
  EXPECT_EQ(container->mounts.at(0).host_path, "volume:logs");
  EXPECT_EQ(container->mounts.at(1).host_path, "/srv/a");
  EXPECT_TRUE(container->mounts.at(1).readonly);
  EXPECT_FALSE(container->masked_paths.empty());
}

}  // namespace
}  // namespace podshim::podlet
