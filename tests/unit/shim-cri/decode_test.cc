// Bad fields of requests: each is refused with its path and value. Good ones arrive in the specs.
#include "shim/cri/decode.h"

#include <gtest/gtest.h>

#include <functional>

namespace podshim::cri {
namespace {

v1::RunPodSandboxRequest pod() {
  v1::RunPodSandboxRequest r;
  auto* m = r.mutable_config()->mutable_metadata();
  m->set_name("web");
  m->set_uid("u1");
  m->set_namespace_("default");
  return r;
}

v1::CreateContainerRequest container() {
  v1::CreateContainerRequest r;
  r.mutable_config()->mutable_metadata()->set_name("app");
  r.mutable_config()->mutable_image()->set_image("busybox");
  return r;
}

struct PodCase {
  const char* name;
  std::function<void(v1::RunPodSandboxRequest&)> change;
  const char* field;
  const char* value;  // must be in the text too
  ErrorKind kind = ErrorKind::invalid_argument;
};

auto* security(v1::RunPodSandboxRequest& r) { return r.mutable_config()->mutable_linux()->mutable_security_context(); }
auto* namespaces(v1::RunPodSandboxRequest& r) { return security(r)->mutable_namespace_options(); }
auto* port(v1::RunPodSandboxRequest& r) {
  auto* p = r.mutable_config()->add_port_mappings();
  p->set_container_port(80);
  return p;
}
auto* resources(v1::RunPodSandboxRequest& r) { return r.mutable_config()->mutable_linux()->mutable_resources(); }

const PodCase kBadPods[] = {
    {"no config", [](auto& r) { r.clear_config(); }, "config", "is required"},
    {"no metadata", [](auto& r) { r.mutable_config()->clear_metadata(); }, "config.metadata", "is required"},
    {"no name", [](auto& r) { r.mutable_config()->mutable_metadata()->clear_name(); }, "config.metadata.name", ""},
    {"no uid", [](auto& r) { r.mutable_config()->mutable_metadata()->clear_uid(); }, "config.metadata.uid", ""},
    {"no namespace", [](auto& r) { r.mutable_config()->mutable_metadata()->clear_namespace_(); },
     "config.metadata.namespace", ""},
    {"handler", [](auto& r) { r.set_runtime_handler("gvisor"); }, "runtime_handler", "gvisor"},
    {"long hostname", [](auto& r) { r.mutable_config()->set_hostname(std::string(65, 'a')); }, "config.hostname",
     "aaa"},
    {"hostname with a space", [](auto& r) { r.mutable_config()->set_hostname("a b"); }, "config.hostname", "a b"},
    {"relative log directory", [](auto& r) { r.mutable_config()->set_log_directory("logs"); }, "config.log_directory",
     "\"logs\""},
    {"NUL", [](auto& r) { r.mutable_config()->mutable_metadata()->set_uid(std::string("a\0b", 3)); },
     "config.metadata.uid", "NUL"},
    {"container port", [](auto& r) { port(r)->set_container_port(70000); }, "config.port_mappings[0].container_port",
     "70000 is not within 0..65535"},
    {"second host port",
     [](auto& r) {
       port(r);
       port(r)->set_host_port(-1);
     },
     "config.port_mappings[1].host_port", "-1"},
    {"host port without container port",
     [](auto& r) {
       auto* p = port(r);
       p->set_host_port(80);
       p->set_container_port(0);
     },
     "config.port_mappings[0].container_port", "host_port is 80"},
    {"protocol", [](auto& r) { port(r)->set_protocol(static_cast<v1::Protocol>(9)); },
     "config.port_mappings[0].protocol", "9"},
    {"host ip", [](auto& r) { port(r)->set_host_ip("10.0.0"); }, "config.port_mappings[0].host_ip", "10.0.0"},
    {"dns server", [](auto& r) { r.mutable_config()->mutable_dns_config()->add_servers("ns1"); },
     "config.dns_config.servers[0]", "ns1"},
    {"dns search on two lines",
     [](auto& r) { r.mutable_config()->mutable_dns_config()->add_searches("a\nnameserver 1"); },
     "config.dns_config.searches[0]", "a"},
    {"relative cgroup parent", [](auto& r) { r.mutable_config()->mutable_linux()->set_cgroup_parent("a.slice"); },
     "config.linux.cgroup_parent", "a.slice"},
    {"cgroup parent with ..", [](auto& r) { r.mutable_config()->mutable_linux()->set_cgroup_parent("/a/../../b"); },
     "config.linux.cgroup_parent", "/a/../../b"},
    {"sysctl by path",
     [](auto& r) { (*r.mutable_config()->mutable_linux()->mutable_sysctls())["net/../kernel/x"] = "1"; },
     "config.linux.sysctls", "net/../kernel/x"},
    {"sysctl with a value of two lines is for plan, NUL is not",
     [](auto& r) { (*r.mutable_config()->mutable_linux()->mutable_sysctls())["net.a"] = std::string("\0", 1); },
     "config.linux.sysctls[\"net.a\"]", "NUL"},
    {"network target", [](auto& r) { namespaces(r)->set_network(v1::TARGET); },
     "config.linux.security_context.namespace_options.network", "TARGET"},
    {"pid target", [](auto& r) { namespaces(r)->set_pid(v1::TARGET); },
     "config.linux.security_context.namespace_options.pid", "TARGET"},
    {"ipc unknown", [](auto& r) { namespaces(r)->set_ipc(static_cast<v1::NamespaceMode>(17)); },
     "config.linux.security_context.namespace_options.ipc", "17"},
    {"user namespace POD", [](auto& r) { namespaces(r)->mutable_userns_options()->set_mode(v1::POD); },
     "config.linux.security_context.namespace_options.userns_options.mode", "not supported", ErrorKind::unimplemented},
    {"user namespace CONTAINER", [](auto& r) { namespaces(r)->mutable_userns_options()->set_mode(v1::CONTAINER); },
     "config.linux.security_context.namespace_options.userns_options.mode", "1"},
    {"user namespace TARGET", [](auto& r) { namespaces(r)->mutable_userns_options()->set_mode(v1::TARGET); },
     "config.linux.security_context.namespace_options.userns_options.mode", "3"},
    {"seccomp type",
     [](auto& r) {
       security(r)->mutable_seccomp()->set_profile_type(static_cast<v1::SecurityProfile::ProfileType>(5));
     },
     "config.linux.security_context.seccomp.profile_type", "5"},
    {"seccomp without path",
     [](auto& r) { security(r)->mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost); },
     "config.linux.security_context.seccomp.localhost_ref", "\"\""},
    {"old seccomp path", [](auto& r) { security(r)->set_seccomp_profile_path("localhost/profile"); },
     "config.linux.security_context.seccomp_profile_path", "profile"},
    {"group alone", [](auto& r) { security(r)->mutable_run_as_group()->set_value(7); },
     "config.linux.security_context.run_as_group", "7"},
    {"cpu period", [](auto& r) { resources(r)->set_cpu_period(5); }, "config.linux.resources.cpu_period", "5"},
    {"cpu quota", [](auto& r) { resources(r)->set_cpu_quota(-2); }, "config.linux.resources.cpu_quota", "-2"},
    {"memory", [](auto& r) { resources(r)->set_memory_limit_in_bytes(-5); },
     "config.linux.resources.memory_limit_in_bytes", "-5"},
    {"swap below memory",
     [](auto& r) {
       resources(r)->set_memory_limit_in_bytes(1000);
       resources(r)->set_memory_swap_limit_in_bytes(500);
     },
     "config.linux.resources.memory_swap_limit_in_bytes", "500"},
    {"oom score", [](auto& r) { resources(r)->set_oom_score_adj(1001); }, "config.linux.resources.oom_score_adj",
     "1001"},
    {"cpuset", [](auto& r) { resources(r)->set_cpuset_cpus("all"); }, "config.linux.resources.cpuset_cpus", "all"},
    {"unified path", [](auto& r) { (*resources(r)->mutable_unified())["../memory.max"] = "1"; },
     "config.linux.resources.unified", "../memory.max"},
    {"unified of cgroup core", [](auto& r) { (*resources(r)->mutable_unified())["cgroup.procs"] = "1"; },
     "config.linux.resources.unified", "cgroup.procs"},
    {"volume name",
     [](auto& r) { (*r.mutable_config()->mutable_annotations())["podshim.dev/volumes"] = "logs,../etc"; },
     "podshim.dev/volumes", "../etc"},
    {"volume twice", [](auto& r) { (*r.mutable_config()->mutable_annotations())["podshim.dev/volumes"] = "a, a"; },
     "podshim.dev/volumes", "twice"},
    {"volume empty", [](auto& r) { (*r.mutable_config()->mutable_annotations())["podshim.dev/volumes"] = "a,"; },
     "podshim.dev/volumes", "\"\""},
};

TEST(DecodeSandbox, NamesTheBadField) {
  for (const auto& c : kBadPods) {
    SCOPED_TRACE(c.name);
    auto request = pod();
    c.change(request);
    const auto spec = decode_sandbox(request);
    ASSERT_FALSE(spec.has_value());
    EXPECT_EQ(spec.error().kind, c.kind);
    EXPECT_NE(spec.error().subject.find(c.field), std::string::npos) << spec.error().text();
    EXPECT_NE(spec.error().text().find(c.value), std::string::npos) << spec.error().text();
  }
}

TEST(DecodeSandbox, AbsentMessagesAreZeroValues) {
  const auto spec = decode_sandbox(pod());
  ASSERT_TRUE(spec.has_value()) << spec.error().text();
  SandboxSpec want;
  want.metadata = {.name = "web", .uid = "u1", .name_space = "default"};
  EXPECT_EQ(*spec, want);

  auto request = pod();  // present but empty means the same
  request.mutable_config()->mutable_dns_config();
  request.mutable_config()->mutable_linux()->mutable_security_context()->mutable_namespace_options();
  namespaces(request)->mutable_userns_options()->set_mode(v1::NODE);
  EXPECT_EQ(*decode_sandbox(request), want);
}

TEST(DecodeSandbox, KeepsWhatIsAsked) {
  auto request = pod();
  auto* c = request.mutable_config();
  c->mutable_metadata()->set_attempt(3);
  c->set_hostname("web-0");
  c->set_log_directory("/var/log/pods/x");
  c->mutable_dns_config()->add_servers("fe80::1%eth0");
  c->mutable_dns_config()->add_options("ndots:5");
  auto* p = port(request);
  p->set_protocol(v1::UDP);
  p->set_host_port(5353);
  p->set_host_ip("127.0.0.1");
  (*c->mutable_labels())["app"] = "web";
  (*c->mutable_annotations())["podshim.dev/volumes"] = " logs , cache";
  c->mutable_linux()->set_cgroup_parent("/kubepods/pod1");
  (*c->mutable_linux()->mutable_sysctls())["net.ipv4.ip_local_port_range"] = "1024 65535";
  namespaces(request)->set_network(v1::NODE);
  namespaces(request)->set_pid(v1::CONTAINER);
  security(request)->set_privileged(true);
  security(request)->mutable_seccomp();
  c->mutable_linux()->mutable_overhead()->set_memory_limit_in_bytes(-1);

  const auto spec = decode_sandbox(request);
  ASSERT_TRUE(spec.has_value()) << spec.error().text();
  EXPECT_EQ(spec->metadata.attempt, 3u);
  EXPECT_EQ(spec->dns->servers[0], "fe80::1%eth0");
  EXPECT_EQ(
      spec->ports[0],
      (PortMapping{
          .protocol = PortMapping::Protocol::udp, .container_port = 80, .host_port = 5353, .host_ip = "127.0.0.1"}));
  EXPECT_EQ(spec->shared_volumes, (std::vector<std::string>{"logs", "cache"}));
  EXPECT_EQ(spec->annotations.at("podshim.dev/volumes"), " logs , cache");
  EXPECT_EQ(spec->namespaces.network, NamespaceMode::node);
  EXPECT_EQ(spec->namespaces.pid, NamespaceMode::container);
  EXPECT_EQ(spec->seccomp.type, SeccompChoice::Type::runtime_default);
  EXPECT_EQ(spec->overhead->memory_limit_bytes, 0);
  EXPECT_FALSE(spec->resources.has_value());
}

struct ContainerCase {
  const char* name;
  std::function<void(v1::CreateContainerRequest&)> change;
  const char* field;
  const char* value;
  ErrorKind kind = ErrorKind::invalid_argument;
};

auto* security(v1::CreateContainerRequest& r) {
  return r.mutable_config()->mutable_linux()->mutable_security_context();
}
auto* mount(v1::CreateContainerRequest& r) {
  auto* m = r.mutable_config()->add_mounts();
  m->set_container_path("/data");
  m->set_host_path("/srv");
  return m;
}
auto* device(v1::CreateContainerRequest& r) {
  auto* d = r.mutable_config()->add_devices();
  d->set_host_path("/dev/fuse");
  return d;
}

const ContainerCase kBadContainers[] = {
    {"no config", [](auto& r) { r.clear_config(); }, "config", "is required"},
    {"no metadata", [](auto& r) { r.mutable_config()->clear_metadata(); }, "config.metadata", "is required"},
    {"no name", [](auto& r) { r.mutable_config()->mutable_metadata()->clear_name(); }, "config.metadata.name", ""},
    {"no image", [](auto& r) { r.mutable_config()->clear_image(); }, "config.image.image", "is required"},
    {"working dir", [](auto& r) { r.mutable_config()->set_working_dir("srv"); }, "config.working_dir", "srv"},
    {"NUL in argument", [](auto& r) { r.mutable_config()->add_args(std::string("\0", 1)); }, "config.args[0]", "NUL"},
    {"env without name", [](auto& r) { r.mutable_config()->add_envs()->set_value("x"); }, "config.envs[0].key",
     "is required"},
    {"env name with =", [](auto& r) { r.mutable_config()->add_envs()->set_key("A=B"); }, "config.envs[0].key", "A=B"},
    {"absolute log path", [](auto& r) { r.mutable_config()->set_log_path("/var/log/x"); }, "config.log_path",
     "/var/log/x"},
    {"escaping log path", [](auto& r) { r.mutable_config()->set_log_path("a/../../x"); }, "config.log_path",
     "a/../../x"},
    {"relative mount target", [](auto& r) { mount(r)->set_container_path("data"); }, "config.mounts[0].container_path",
     "data"},
    {"no mount source", [](auto& r) { mount(r)->clear_host_path(); }, "config.mounts[0].host_path", "\"\""},
    {"volume name", [](auto& r) { mount(r)->set_host_path("volume:../x"); }, "config.mounts[0].host_path",
     "volume:../x"},
    {"propagation", [](auto& r) { mount(r)->set_propagation(static_cast<v1::MountPropagation>(3)); },
     "config.mounts[0].propagation", "3"},
    {"recursive without readonly", [](auto& r) { mount(r)->set_recursive_read_only(true); },
     "config.mounts[0].recursive_read_only", "readonly is false"},
    {"recursive with propagation",
     [](auto& r) {
       auto* m = mount(r);
       m->set_readonly(true);
       m->set_recursive_read_only(true);
       m->set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
     },
     "config.mounts[0].recursive_read_only", "propagation"},
    {"image volume beside a path", [](auto& r) { mount(r)->mutable_image()->set_image("sha256:1"); },
     "config.mounts[0].host_path", "/srv"},
    {"writable image volume",
     [](auto& r) {
       auto* m = mount(r);
       m->clear_host_path();
       m->mutable_image()->set_image("sha256:1");
     },
     "config.mounts[0].readonly", "false"},
    {"propagation of an image volume",
     [](auto& r) {
       auto* m = mount(r);
       m->clear_host_path();
       m->mutable_image()->set_image("sha256:1");
       m->set_readonly(true);
       m->set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
     },
     "config.mounts[0].propagation", "PROPAGATION_HOST_TO_CONTAINER"},
    {"sub path without an image", [](auto& r) { mount(r)->set_image_sub_path("etc"); },
     "config.mounts[0].image_sub_path", "etc"},
    {"id-mapped mount", [](auto& r) { mount(r)->add_uidmappings(); }, "config.mounts[0].uidMappings", "not supported",
     ErrorKind::unimplemented},
    {"device path", [](auto& r) { device(r)->set_host_path("fuse"); }, "config.devices[0].host_path", "fuse"},
    {"device permissions", [](auto& r) { device(r)->set_permissions("rx"); }, "config.devices[0].permissions", "rx"},
    {"CDI", [](auto& r) { r.mutable_config()->add_cdi_devices()->set_name("v/c=d"); }, "config.CDI_devices", "v/c=d",
     ErrorKind::unimplemented},
    {"stop signal", [](auto& r) { r.mutable_config()->set_stop_signal(static_cast<v1::Signal>(99)); },
     "config.stop_signal", "99"},
    {"ambient", [](auto& r) { security(r)->mutable_capabilities()->add_add_ambient_capabilities("X"); },
     "config.linux.security_context.capabilities.add_ambient_capabilities", "not supported", ErrorKind::unimplemented},
    {"negative user", [](auto& r) { security(r)->mutable_run_as_user()->set_value(-1); },
     "config.linux.security_context.run_as_user", "-1"},
    {"user of 2^32-1", [](auto& r) { security(r)->mutable_run_as_user()->set_value(0xffffffffLL); },
     "config.linux.security_context.run_as_user", "4294967295"},
    {"group alone", [](auto& r) { security(r)->mutable_run_as_group()->set_value(0); },
     "config.linux.security_context.run_as_group", "without run_as_user"},
    {"supplemental group", [](auto& r) { security(r)->add_supplemental_groups(-3); },
     "config.linux.security_context.supplemental_groups[0]", "-3"},
    {"groups policy",
     [](auto& r) { security(r)->set_supplemental_groups_policy(static_cast<v1::SupplementalGroupsPolicy>(2)); },
     "config.linux.security_context.supplemental_groups_policy", "2"},
    {"masked path", [](auto& r) { security(r)->add_masked_paths("proc"); },
     "config.linux.security_context.masked_paths[0]", "proc"},
    {"readonly path", [](auto& r) { security(r)->add_readonly_paths(""); },
     "config.linux.security_context.readonly_paths[0]", "\"\""},
    {"target without id", [](auto& r) { security(r)->mutable_namespace_options()->set_pid(v1::TARGET); },
     "config.linux.security_context.namespace_options.target_id", "is required"},
    {"user namespace",
     [](auto& r) { security(r)->mutable_namespace_options()->mutable_userns_options()->set_mode(v1::POD); },
     "config.linux.security_context.namespace_options.userns_options.mode", "POD", ErrorKind::unimplemented},
    {"AppArmor",
     [](auto& r) {
       security(r)->mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost);
       security(r)->mutable_apparmor()->set_localhost_ref("localhost/x");
     },
     "config.linux.security_context.apparmor", "localhost/x", ErrorKind::unimplemented},
    {"old AppArmor", [](auto& r) { security(r)->set_apparmor_profile("localhost/x"); },
     "config.linux.security_context.apparmor", "localhost/x", ErrorKind::unimplemented},
    {"memory", [](auto& r) { r.mutable_config()->mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(-7); },
     "config.linux.resources.memory_limit_in_bytes", "-7"},
};

TEST(DecodeContainer, NamesTheBadField) {
  for (const auto& c : kBadContainers) {
    SCOPED_TRACE(c.name);
    auto request = container();
    c.change(request);
    const auto spec = decode_container(request);
    ASSERT_FALSE(spec.has_value());
    EXPECT_EQ(spec.error().kind, c.kind);
    EXPECT_NE(spec.error().subject.find(c.field), std::string::npos) << spec.error().text();
    EXPECT_NE(spec.error().text().find(c.value), std::string::npos) << spec.error().text();
  }
}

TEST(DecodeContainer, AbsentMessagesAreZeroValues) {
  const auto spec = decode_container(container());
  ASSERT_TRUE(spec.has_value()) << spec.error().text();
  ContainerSpec want;
  want.metadata = {.name = "app"};
  want.image = "busybox";
  EXPECT_EQ(*spec, want);
  EXPECT_EQ(spec->security.namespaces.pid, NamespaceMode::pod);
  EXPECT_EQ(spec->security.seccomp.type, SeccompChoice::Type::unconfined);
}

TEST(DecodeContainer, KeepsWhatIsAsked) {
  auto request = container();
  auto* env = request.mutable_config()->add_envs();
  env->set_key("A");
  env->set_value("1=2");
  mount(request)->set_host_path("volume:logs");
  device(request);
  security(request)->mutable_run_as_user()->set_value(0);
  security(request)->mutable_run_as_group()->set_value(5);
  security(request)->mutable_namespace_options()->set_pid(v1::TARGET);
  security(request)->mutable_namespace_options()->set_target_id("feed");
  security(request)->set_supplemental_groups_policy(v1::Strict);
  security(request)->set_apparmor_profile("runtime/default");
  const auto spec = decode_container(request);
  ASSERT_TRUE(spec.has_value()) << spec.error().text();
  EXPECT_EQ(spec->envs[0], (std::pair<std::string, std::string>("A", "1=2")));
  EXPECT_EQ(spec->mounts[0].host_path, "volume:logs");
  EXPECT_EQ(spec->devices[0], (Device{"/dev/fuse", "/dev/fuse", "rwm"}));
  EXPECT_EQ(spec->security.run_as_user, 0);
  EXPECT_EQ(spec->security.run_as_group, 5);
  EXPECT_EQ(spec->security.namespaces.target_id, "feed");
  EXPECT_TRUE(spec->security.strict_groups);
}

TEST(DecodeCommand, NeedsAProgram) {
  v1::ExecSyncRequest request;
  EXPECT_EQ(decode_command(request).error().subject, "cmd");
  request.add_cmd("");
  EXPECT_EQ(decode_command(request).error().subject, "cmd[0]");
  request.set_cmd(0, "true");
  EXPECT_EQ(decode_command(request)->size(), 1u);
}

TEST(DecodeSharedVolumes, AnEmptyAnnotationIsNone) {
  EXPECT_TRUE(decode_shared_volumes("")->empty());
  EXPECT_TRUE(decode_shared_volumes("  ")->empty());
  EXPECT_EQ(*decode_shared_volumes("a"), std::vector<std::string>{"a"});
  EXPECT_FALSE(decode_shared_volumes(std::string(64, 'a')).has_value());
  EXPECT_FALSE(decode_shared_volumes("-a").has_value());
}

}  // namespace
}  // namespace podshim::cri
