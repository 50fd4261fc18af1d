// Bad input over CRI: each case gets a clear error that names the field and the value, and nothing is left behind.
#include <fstream>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class BadInput : public NodeSuite {
 protected:
  void expect_error(const grpc::Status& status, grpc::StatusCode code, const std::vector<std::string>& words) {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    for (const auto& word : words)
      EXPECT_NE(status.error_message().find(word), std::string::npos)
          << "no \"" << word << "\" in: " << status.error_message();
  }
  void expect_empty() {
    cri::ListPodSandboxResponse pods;
    ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ListPodSandbox, cri::ListPodSandboxRequest(), &pods).ok());
    EXPECT_EQ(pods.items_size(), 0);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
  }
};

TEST_F(BadInput, SandboxRequests) {
  struct Case {
    const char* name;
    std::function<void(cri::PodSandboxConfig&)> change;
    grpc::StatusCode code;
    std::vector<std::string> words;
  };
  const Case cases[] = {
      {"no metadata", [](auto& c) { c.clear_metadata(); }, grpc::StatusCode::INVALID_ARGUMENT, {"metadata"}},
      {"no name",
       [](auto& c) { c.mutable_metadata()->set_name(""); },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"metadata.name"}},
      {"cgroup parent with ..",
       [](auto& c) { c.mutable_linux()->set_cgroup_parent("/a/../../b"); },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"cgroup_parent", "/a/../../b"}},
      {"relative cgroup parent",
       [](auto& c) { c.mutable_linux()->set_cgroup_parent("a/b"); },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"cgroup_parent", "a/b"}},
      {"container port out of range",
       [](auto& c) { c.add_port_mappings()->set_container_port(70000); },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"port_mappings[0].container_port", "70000"}},
      {"host port out of range",
       [](auto& c) {
         auto& p = *c.add_port_mappings();
         p.set_container_port(80);
         p.set_host_port(-1);
       },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"port_mappings[0].host_port", "-1"}},
      {"sysctl of the host",
       [](auto& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.panic"] = "1"; },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"kernel.panic"}},
      {"unknown runtime handler", [](auto&) {}, grpc::StatusCode::INVALID_ARGUMENT, {"gvisor"}},
      {"bad volume name",
       [](auto& c) { (*c.mutable_annotations())["podshim.dev/volumes"] = "ok,../etc"; },
       grpc::StatusCode::INVALID_ARGUMENT,
       {"podshim.dev/volumes", "../etc"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    cri::RunPodSandboxRequest request;
    *request.mutable_config() = pod_config("bad", node->cgroup_parent());
    c.change(*request.mutable_config());
    if (std::string(c.name) == "unknown runtime handler") request.set_runtime_handler("gvisor");
    cri::RunPodSandboxResponse response;
    expect_error(node->cri().call(&cri::RuntimeService::Stub::RunPodSandbox, request, &response), c.code, c.words);
  }
  expect_empty();
}

TEST_F(BadInput, ContainerRequests) {
  auto pod = run_pod();
  struct Case {
    const char* name;
    cri::ContainerConfig config;
    grpc::StatusCode code;
    std::vector<std::string> words;
  };
  auto with = [](cri::ContainerConfig config, const std::function<void(cri::ContainerConfig&)>& change) {
    change(config);
    return config;
  };
  const Case cases[] = {
      {"unknown image",
       container_config("c", "example.com/none:1", {"true"}),
       grpc::StatusCode::NOT_FOUND,
       {"example.com/none:1"}},
      {"no name",
       with(sleeper("c"), [](auto& c) { c.mutable_metadata()->set_name(""); }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"metadata.name"}},
      {"mount source missing",
       with(sleeper("c"),
            [](auto& c) {
              auto& m = *c.add_mounts();
              m.set_host_path("/no/such/directory");
              m.set_container_path("/data");
            }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"/no/such/directory"}},
      {"image volume that is not here",
       with(sleeper("c"),
            [](auto& c) {
              auto& m = *c.add_mounts();
              m.mutable_image()->set_image("example.com/none:2");
              m.set_container_path("/data");
              m.set_readonly(true);
            }),
       grpc::StatusCode::NOT_FOUND,
       {"example.com/none:2", "mounts[0]"}},
      {"sub path that the image has not",
       with(sleeper("c"),
            [](auto& c) {
              auto& m = *c.add_mounts();
              m.mutable_image()->set_image(kBusybox);
              m.set_image_sub_path("no/such");
              m.set_container_path("/data");
              m.set_readonly(true);
            }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"no/such", "image_sub_path", "mounts[0]"}},
      {"unknown shared volume",
       with(sleeper("c"),
            [](auto& c) {
              auto& m = *c.add_mounts();
              m.set_host_path("volume:none");
              m.set_container_path("/data");
            }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"volume:none"}},
      {"group without user",
       with(sleeper("c"), [](auto& c) { security(c).mutable_run_as_group()->set_value(1); }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"run_as_group"}},
      {"unknown user",
       with(sleeper("c"), [](auto& c) { security(c).set_run_as_username("nobody-here"); }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"nobody-here"}},
      {"unknown capability",
       with(sleeper("c"), [](auto& c) { security(c).mutable_capabilities()->add_add_capabilities("FLY"); }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"FLY"}},
      {"seccomp profile missing",
       with(sleeper("c"),
            [](auto& c) {
              security(c).mutable_seccomp()->set_profile_type(cri::SecurityProfile::Localhost);
              security(c).mutable_seccomp()->set_localhost_ref("/no/such/profile.json");
            }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"/no/such/profile.json"}},
      {"log path outside",
       with(sleeper("c"), [](auto& c) { c.set_log_path("../../escape.log"); }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"log_path", "../../escape.log"}},
      {"target unknown",
       with(sleeper("c"),
            [](auto& c) {
              security(c).mutable_namespace_options()->set_pid(cri::NamespaceMode::TARGET);
              security(c).mutable_namespace_options()->set_target_id("feed");
            }),
       grpc::StatusCode::INVALID_ARGUMENT,
       {"feed"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto made = node->cri().create_container(pod.id, c.config, pod.config);
    expect_error(made.status, c.code, c.words);
  }
  auto missing = create(pod, container_config("m", kBusybox, {"/no/such/program"}));
  expect_error(node->cri().start(missing), grpc::StatusCode::INVALID_ARGUMENT, {"/no/such/program", "ENOENT"});
  auto forbidden = create(pod, container_config("f", kBusybox, {"/etc/passwd"}));
  expect_error(node->cri().start(forbidden), grpc::StatusCode::INVALID_ARGUMENT, {"/etc/passwd", "EACCES"});
  cri::ListContainersResponse containers;
  ASSERT_TRUE(
      node->cri().call(&cri::RuntimeService::Stub::ListContainers, cri::ListContainersRequest(), &containers).ok());
  EXPECT_EQ(containers.containers_size(), 2);
}

TEST_F(BadInput, DuplicateNamesNameTheHolder) {
  auto pod = run_pod();
  auto again = node->cri().run_sandbox(pod.config);
  EXPECT_TRUE(again.status.ok());
  EXPECT_EQ(again.id, pod.id);
  auto other = pod.config;
  other.set_hostname("another");
  auto refused = node->cri().run_sandbox(other);
  expect_error(refused.status, grpc::StatusCode::ALREADY_EXISTS, {pod.id.substr(0, 12), "hostname"});
  EXPECT_EQ(refused.status.error_message().find("reserved"), std::string::npos);
}

TEST_F(BadInput, UnknownIds) {
  const std::string none(64, 'f');
  EXPECT_TRUE(node->cri().stop_sandbox(none).ok());
  EXPECT_TRUE(node->cri().remove_sandbox(none).ok());
  EXPECT_TRUE(node->cri().stop(none, 0).ok());
  EXPECT_TRUE(node->cri().remove(none).ok());
  expect_error(node->cri().start(none), grpc::StatusCode::NOT_FOUND, {none});
  cri::ContainerStatusRequest request;
  request.set_container_id("b2a8e1b4-uuid-form");
  cri::ContainerStatusResponse response;
  expect_error(node->cri().call(&cri::RuntimeService::Stub::ContainerStatus, request, &response),
               grpc::StatusCode::NOT_FOUND, {"b2a8e1b4-uuid-form"});
}

// A daemon with a CNI plugin that misbehaves: RunPodSandbox says which and how, and leaves nothing.
TEST(BadPlugin, EachFailureIsNamed) {
  struct Case {
    const char* name;
    const char* script;  // nullptr: no such plugin
    std::vector<std::string> words;
  };
  const Case cases[] = {
      {"missing", nullptr, {"crooked"}},
      {"failing",
       "#!/bin/sh\ncat >/dev/null\necho '{\"cniVersion\":\"1.0.0\",\"code\":100,\"msg\":\"the cable is cut\"}'\nexit "
       "1\n",
       {"crooked", "the cable is cut"}},
      {"garbage", "#!/bin/sh\ncat >/dev/null\necho '%%% not json'\n", {"crooked"}},
      {"hanging", "#!/bin/sh\nexec sleep 300\n", {"crooked", "2 s"}},
      {"dying", "#!/bin/sh\nkill -9 $$\n", {"crooked"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    char plugins[] = "/tmp/podshim-cni.XXXXXX";
    ASSERT_NE(::mkdtemp(plugins), nullptr);
    if (c.script != nullptr) {
      std::ofstream(std::string(plugins) + "/crooked") << c.script;
      ::chmod((std::string(plugins) + "/crooked").c_str(), 0755);
    }
    {
      Node node({.cni_bin_dir = plugins,
                 .conflist = "{\"cniVersion\": \"1.0.0\", \"name\": \"net\", \"plugins\": [{\"type\": \"crooked\"}]}",
                 .config = "  cni-timeout-seconds: 2\n"});
      ASSERT_TRUE(node.start_daemon()) << node.log();
      auto made = node.cri().run_sandbox(pod_config("p", node.cgroup_parent()));
      EXPECT_FALSE(made.status.ok());
      for (const auto& word : c.words)
        EXPECT_NE(made.status.error_message().find(word), std::string::npos) << made.status.error_message();
      EXPECT_EQ(node.leaks(), std::vector<std::string>{});
      auto again = node.cri().run_sandbox(pod_config("p", node.cgroup_parent()));
      EXPECT_NE(again.status.error_code(), grpc::StatusCode::ALREADY_EXISTS) << again.status.error_message();
    }
    ::unlink((std::string(plugins) + "/crooked").c_str());
    ::rmdir(plugins);
  }
}

TEST(BadConfig, NoFreeAddressIsSaid) {
  Node probe;
  auto printed = probe.run({program("podshim"), "--config", probe.config_file(), "cni-config"});
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  auto small = printed.out;
  for (auto at = small.find("10.42.0.0/16"); at != std::string::npos; at = small.find("10.42.0.0/16"))
    small.replace(at, 12, "10.42.9.0/30");
  Node node({.conflist = small});
  ASSERT_TRUE(node.start_daemon()) << node.log();
  auto first = node.cri().run_sandbox(pod_config("first", node.cgroup_parent()));
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  auto second = node.cri().run_sandbox(pod_config("second", node.cgroup_parent()));
  EXPECT_FALSE(second.status.ok());
  EXPECT_NE(second.status.error_message().find("10.42.9.0/30"), std::string::npos) << second.status.error_message();
  EXPECT_TRUE(node.cri().stop_sandbox(first.id).ok());
  EXPECT_TRUE(node.cri().remove_sandbox(first.id).ok());
  EXPECT_EQ(node.leaks(), std::vector<std::string>{});
}

TEST(BadConfig, UnknownKeyIsNamedWithItsLine) {
  Node node({.config = "  no-such-key: 1\n"});
  auto out = node.run({program("podshim"), "--config", node.config_file()}, std::chrono::seconds(10));
  EXPECT_EQ(out.exit_code, 2);
  EXPECT_NE(out.err.find("podshim.no-such-key"), std::string::npos) << out.err;
  EXPECT_NE(out.err.find("config.yaml:"), std::string::npos) << out.err;
}

}  // namespace
}  // namespace podshim::test
