// What was asked comes back verbatim; filters; limits of answers.
#include "shim/cri/encode.h"

#include <gtest/gtest.h>

#include "common/json.h"
#include "shim/cri/decode.h"
#include "shim/cri/filter.h"
#include "shim/cri/items.h"

namespace podshim::cri {
namespace {

const std::string kPod(64, 'a');
const std::string kOther = "ab" + std::string(62, '0');
const std::string kApp(64, 'c');

SandboxView sandbox_view() {
  SandboxView v;
  v.id = *SandboxId::parse(kPod);
  v.spec.metadata = {.name = "web", .uid = "u1", .name_space = "default", .attempt = 2};
  v.spec.labels = {{"app", "web"}, {"io.kubernetes.pod.uid", "u1"}};
  v.spec.annotations = {{"abc", "def"}};
  v.spec.namespaces = {.network = NamespaceMode::node, .pid = NamespaceMode::container};
  v.state = SandboxState::ready;
  v.created_at_ns = 17;
  v.ips = {*IpAddress::parse("10.42.0.5"), *IpAddress::parse("fd00::5")};
  v.pause_pid = 77;
  return v;
}

ContainerView container_view() {
  ContainerView v;
  v.id = *ContainerId::parse(kApp);
  v.sandbox = *SandboxId::parse(kPod);
  v.spec.metadata = {.name = "app", .attempt = 1};
  v.spec.image = "sha256:11";
  v.spec.user_specified_image = "example.com/app:1";
  v.spec.labels = {{"app", "web"}};
  v.spec.mounts = {{.container_path = "/data",
                    .host_path = "volume:logs",
                    .readonly = true,
                    .propagation = Mount::Propagation::bidirectional},
                   {.container_path = "/model",
                    .image = "example.com/model:2",
                    .user_specified_image = "model:2",
                    .image_sub_path = "weights",
                    .readonly = true}};
  v.volume_images = {"sha256:22"};
  v.spec.resources = Resources{.cpu_shares = 512, .memory_limit_bytes = 1 << 20};
  v.state = ContainerState::exited;
  v.created_at_ns = 1;
  v.started_at_ns = 2;
  v.finished_at_ns = 3;
  v.exit_code = 137;
  v.reason = "OOMKilled";
  v.image_id = "sha256:11";
  v.log_path = "/var/log/pods/x/app/0.log";
  v.user = {.uid = 1000, .gid = 100, .groups = {100, 1234}};
  return v;
}

TEST(EncodeSandbox, StatusAndListSayTheSame) {
  const auto view = sandbox_view();
  v1::PodSandboxStatus status;
  v1::PodSandbox item;
  encode_sandbox_status(view, &status);
  encode_sandbox(view, &item);
  EXPECT_EQ(status.id(), kPod);
  EXPECT_EQ(status.metadata().name(), "web");
  EXPECT_EQ(status.metadata().namespace_(), "default");
  EXPECT_EQ(status.metadata().attempt(), 2u);
  EXPECT_EQ(status.network().ip(), "10.42.0.5");
  ASSERT_EQ(status.network().additional_ips_size(), 1);
  EXPECT_EQ(status.network().additional_ips(0).ip(), "fd00::5");
  EXPECT_EQ(status.linux().namespaces().options().network(), v1::NODE);
  EXPECT_EQ(status.linux().namespaces().options().pid(), v1::CONTAINER);
  EXPECT_EQ(status.linux().namespaces().options().ipc(), v1::POD);
  EXPECT_EQ(status.annotations().at("abc"), "def");
  EXPECT_EQ(item.id(), status.id());
  EXPECT_EQ(item.state(), v1::SANDBOX_READY);
  EXPECT_EQ(item.created_at(), 17);
  EXPECT_EQ(item.metadata().SerializeAsString(), status.metadata().SerializeAsString());
  EXPECT_EQ(item.labels_size(), 2);
  const auto info = json::parse(sandbox_info(view));
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->find("pid")->as_integer(), 77);
}

TEST(EncodeContainer, StatusHasWhatAKubeletReads) {
  v1::ContainerStatus s;
  encode_container_status(container_view(), &s);
  EXPECT_EQ(s.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(s.exit_code(), 137);
  EXPECT_EQ(s.reason(), "OOMKilled");
  EXPECT_EQ(s.image().image(), "example.com/app:1");
  EXPECT_EQ(s.image_ref(), "sha256:11");  // no repo digest: the id
  EXPECT_EQ(s.image_id(), "sha256:11");
  ASSERT_EQ(s.mounts_size(), 2);
  EXPECT_EQ(s.mounts(0).host_path(), "volume:logs");
  EXPECT_TRUE(s.mounts(0).readonly());
  EXPECT_EQ(s.mounts(0).propagation(), v1::PROPAGATION_BIDIRECTIONAL);
  EXPECT_FALSE(s.mounts(0).has_image());
  EXPECT_EQ(s.mounts(1).image().image(), "example.com/model:2");
  EXPECT_EQ(s.mounts(1).image().image_ref(), "sha256:22");
  EXPECT_EQ(s.mounts(1).image_sub_path(), "weights");
  EXPECT_EQ(s.resources().linux().cpu_shares(), 512);
  EXPECT_EQ(s.resources().linux().memory_limit_in_bytes(), 1 << 20);
  EXPECT_EQ(s.user().linux().uid(), 1000);
  EXPECT_EQ(s.user().linux().supplemental_groups(1), 1234);
  EXPECT_EQ(s.log_path(), "/var/log/pods/x/app/0.log");
  auto view = container_view();
  view.image_reference = "example.com/app@sha256:22";
  v1::Container item;
  encode_container(view, &item);
  EXPECT_EQ(item.image_ref(), "sha256:11");
  EXPECT_EQ(item.image_id(), "sha256:11");
}

TEST(Encode, EveryState) {
  EXPECT_EQ(encode_state(SandboxState::ready), v1::SANDBOX_READY);
  EXPECT_EQ(encode_state(SandboxState::not_ready), v1::SANDBOX_NOTREADY);
  EXPECT_EQ(encode_state(ContainerState::created), v1::CONTAINER_CREATED);
  EXPECT_EQ(encode_state(ContainerState::running), v1::CONTAINER_RUNNING);
  EXPECT_EQ(encode_state(ContainerState::exited), v1::CONTAINER_EXITED);
  EXPECT_EQ(encode_state(ContainerState::unknown), v1::CONTAINER_UNKNOWN);
}

// decode(encode(x)) = x, for what both directions carry.
TEST(Encode, ResourcesRoundTrip) {
  v1::CreateContainerRequest request;
  request.mutable_config()->mutable_metadata()->set_name("app");
  request.mutable_config()->mutable_image()->set_image("busybox");
  Resources r{.cpu_period_us = 100000,
              .cpu_quota_us = -1,
              .cpu_shares = 2,
              .memory_limit_bytes = 4096,
              .memory_swap_limit_bytes = 8192,
              .oom_score_adj = -997,
              .cpuset_cpus = "0-1",
              .cpuset_mems = "0",
              .unified = {{"memory.high", "4096"}}};
  encode_resources(r, request.mutable_config()->mutable_linux()->mutable_resources());
  const auto spec = decode_container(request);
  ASSERT_TRUE(spec.has_value()) << spec.error().text();
  EXPECT_EQ(spec->resources, r);
}

TEST(Encode, MountsRoundTrip) {
  for (auto propagation :
       {Mount::Propagation::private_, Mount::Propagation::host_to_container, Mount::Propagation::bidirectional}) {
    auto view = container_view();
    view.spec.mounts[0].propagation = propagation;
    v1::ContainerStatus s;
    encode_container_status(view, &s);
    v1::CreateContainerRequest request;
    request.mutable_config()->mutable_metadata()->set_name("app");
    request.mutable_config()->mutable_image()->set_image("busybox");
    *request.mutable_config()->mutable_mounts() = s.mounts();
    EXPECT_EQ(decode_container(request)->mounts, view.spec.mounts);
  }
}

TEST(EncodeImage, UserIsANumberOrAName) {
  struct Case {
    const char* user;
    std::optional<std::int64_t> uid;
    const char* name;
  };
  const Case cases[] = {{"", std::nullopt, ""},
                        {"1002", 1002, ""},
                        {"1003:1004", 1003, ""},
                        {"www-data", std::nullopt, "www-data"},
                        {"www-data:1004", std::nullopt, "www-data"},
                        {"0", 0, ""},
                        {"12x", std::nullopt, "12x"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.user);
    Image image{.id = "sha256:1", .repo_tags = {"a:1", "b:1"}};
    image.process.user = c.user;
    v1::Image out;
    encode_image(image, &out);
    EXPECT_EQ(out.has_uid(), c.uid.has_value());
    if (c.uid) {
      EXPECT_EQ(out.uid().value(), *c.uid);
    }
    EXPECT_EQ(out.username(), c.name);
    EXPECT_EQ(out.size(), 1u);  // never 0
    EXPECT_EQ(out.repo_tags_size(), 2);
  }
}

TEST(EncodeExec, StaysBelowTheClientsLimit) {
  constexpr std::size_t kLimit = 16UL << 20;
  struct Case {
    std::size_t out, err;
  };
  for (const auto& c :
       {Case{10, 20}, Case{kLimit, 0}, Case{0, kLimit}, Case{kLimit, kLimit}, Case{kLimit, 100}, Case{100, kLimit}}) {
    v1::ExecSyncResponse r;
    encode_exec({.exit_code = 1, .out = std::string(c.out, 'o'), .err = std::string(c.err, 'e')}, &r);
    EXPECT_LT(r.ByteSizeLong(), kLimit) << c.out << " " << c.err;
    if (c.out + c.err < kLimit / 2) {
      EXPECT_EQ(r.stdout().size() + r.stderr().size(), c.out + c.err);
    }
    if (c.out + c.err >= kLimit) {
      EXPECT_GT(r.ByteSizeLong(), kLimit - 16384);
    }
    if (c.out <= 100) {  // the small one is whole
      EXPECT_EQ(r.stdout().size(), c.out);
    }
    if (c.err <= 100) {
      EXPECT_EQ(r.stderr().size(), c.err);
    }
  }
}

TEST(Utf8, ReplacesWhatIsNot) {
  struct Case {
    std::string in, want;
  };
  const Case cases[] = {{"plain", "plain"},
                        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
                        {"a\xff"
                         "b",
                         "a\xEF\xBF\xBD"
                         "b"},
                        {"\xc0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},                  // overlong
                        {"\xed\xa0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},  // a surrogate
                        {"\xe2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"}};                 // cut off
  for (const auto& c : cases) EXPECT_EQ(utf8(c.in), c.want);
}

TEST(Filter, AllThatIsSetMustHold) {
  const auto view = sandbox_view();
  v1::PodSandboxFilter f;
  EXPECT_TRUE(matches(f, view));
  f.set_id(kPod);
  EXPECT_TRUE(matches(f, view));
  f.set_id(kPod.substr(0, 12));
  EXPECT_TRUE(matches(f, view));
  f.set_id(kOther);
  EXPECT_FALSE(matches(f, view));
  f.clear_id();
  f.mutable_state()->set_state(v1::SANDBOX_NOTREADY);
  EXPECT_FALSE(matches(f, view));
  f.mutable_state()->set_state(v1::SANDBOX_READY);
  (*f.mutable_label_selector())["app"] = "web";
  EXPECT_TRUE(matches(f, view));
  (*f.mutable_label_selector())["tier"] = "front";  // one pair is not there
  EXPECT_FALSE(matches(f, view));
}

TEST(Filter, Containers) {
  const auto view = container_view();
  v1::ContainerFilter f;
  EXPECT_TRUE(matches(f, view));
  f.set_pod_sandbox_id(kPod);
  EXPECT_TRUE(matches(f, view));
  f.mutable_state();  // CREATED is the zero value, and it is set
  EXPECT_FALSE(matches(f, view));
  f.clear_state();
  f.set_pod_sandbox_id(kOther);
  EXPECT_FALSE(matches(f, view));
  v1::ContainerStatsFilter s;
  (*s.mutable_label_selector())["app"] = "web";
  EXPECT_TRUE(matches(s, view));
  (*s.mutable_label_selector())["app"] = "db";
  EXPECT_FALSE(matches(s, view));
}

// What the cache puts together is what the message would have been.
TEST(ItemCache, GivesTheBytesOfTheResponse) {
  Items items;
  for (const std::size_t padding : {0, 100, 20000}) {  // lengths of one, two and three bytes
    auto view = sandbox_view();
    view.spec.annotations["padding"] = std::string(padding, 'x');
    const auto shared = std::make_shared<const SandboxView>(view);
    v1::ListPodSandboxResponse want;
    encode_sandbox(view, want.add_items());
    encode_sandbox(view, want.add_items());
    std::string bytes;
    items.sandboxes.append(shared, &bytes);
    items.sandboxes.append(shared, &bytes);
    v1::ListPodSandboxResponse got;
    ASSERT_TRUE(got.ParseFromString(bytes));
    ASSERT_EQ(got.items_size(), 2);
    EXPECT_EQ(got.items(1).annotations().at("padding").size(), padding);
    EXPECT_EQ(got.ByteSizeLong(), want.ByteSizeLong());
  }
}

TEST(ItemCache, ForgetsViewsThatAreGone) {
  Items items;
  std::vector<std::shared_ptr<const SandboxView>> kept;
  for (int i = 0; i < 5000; i++) {  // one long-lived, the others replaced at once
    auto view = std::make_shared<const SandboxView>(sandbox_view());
    if (i == 0) kept.push_back(view);
    std::string bytes;
    items.sandboxes.append(view, &bytes);
    items.sandboxes.append(kept[0], &bytes);
  }
  EXPECT_LE(items.sandboxes.size(), 200u);
}

TEST(ItemCache, LetsGoOfManyAfterAFewNewOnes) {
  Items items;
  std::vector<std::shared_ptr<const SandboxView>> many;
  std::string bytes;
  const auto add = [&](int count) {
    for (int i = 0; i < count; i++) {
      many.push_back(std::make_shared<const SandboxView>(sandbox_view()));
      items.sandboxes.append(many.back(), &bytes);
    }
  };
  add(2000);
  EXPECT_EQ(items.sandboxes.size(), 2000u);
  many.clear();
  add(400);
  EXPECT_LT(items.sandboxes.size(), 500u);
}

}  // namespace
}  // namespace podshim::cri
