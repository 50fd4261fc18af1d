#include "tests/root/shim-lifecycle/fixture.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "shim/apply/probe.h"
#include "shim/image/overlay.h"

namespace podshim::lifecycle::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kApplets[] = {"sh",   "sleep", "echo", "cat",  "ls",   "true",  "false", "hostname",
                                    "id",   "ps",    "ip",   "kill", "dd",   "touch", "yes",   "mkdir",
                                    "wget", "nc",    "seq",  "tty",  "stty", "grep"};

// One image of one layer; the real store has its own tests.
class OneImage : public ImageStore {
 public:
  OneImage(std::string dir, const HostFacts& facts) : dir_(std::move(dir)), facts_(facts) {
    image_.id = "sha256:" + std::string(64, '1');
    image_.repo_tags = {"docker.io/library/busybox:1"};
    image_.process = {.cmd = {"sh"}, .env = {"PATH=/bin", "FROM_IMAGE=yes"}};
  }
  Result<std::vector<Image>> import(const std::string&) override { return std::vector<Image>{image_}; }
  std::optional<Image> find(const std::string& reference) const override {
    if (reference == image_.id || reference == "busybox:1") return image_;
    return std::nullopt;
  }
  std::vector<Image> list() const override { return {image_}; }
  Result<> remove(const std::string&) override { return {}; }
  Result<FsUsage> usage() const override { return FsUsage{}; }
  Result<Fd> mount_rootfs(const Image&, const std::string& container_dir) override {
    TRY(sys::make_dir(container_dir + "/upper"));
    TRY(sys::make_dir(container_dir + "/work"));
    auto plan = TRY(image::plan_overlay(
        {.layers_dir = dir_, .layers = {"layer"}, .upper = container_dir + "/upper", .work = container_dir + "/work"},
        facts_));
    return image::mount_overlay(plan, dir_);
  }

 private:
  std::string dir_;
  HostFacts facts_;
  Image image_;
};

void make_layer(const std::string& dir) {
  for (const char* sub : {"/bin", "/etc", "/tmp", "/proc", "/sys", "/dev", "/srv"}) fs::create_directories(dir + sub);
  fs::copy_file("/bin/busybox", dir + "/bin/busybox", fs::copy_options::overwrite_existing);
  for (const char* applet : kApplets) {
    std::error_code exists;
    fs::create_hard_link(dir + "/bin/busybox", dir + "/bin/" + applet, exists);
  }
  std::ofstream(dir + "/etc/passwd") << "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
  std::ofstream(dir + "/etc/group") << "root:x:0:\n";
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// A mount's line has ids that change; what counts is where it is.
std::vector<std::string> mount_points() {
  std::vector<std::string> out;
  for (const auto& line : lines_of("/proc/self/mountinfo")) {
    std::size_t at = 0;
    for (int field = 0; field < 4; field++) at = line.find(' ', at) + 1;
    out.push_back(line.substr(at, line.find(' ', at) - at));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> links() {
  std::vector<std::string> out;
  if (auto* list = ::if_nameindex()) {
    for (auto* i = list; i->if_index != 0; i++) out.push_back(i->if_name);
    ::if_freenameindex(list);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void loopback_up() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  ::ioctl(socket.get(), SIOCSIFFLAGS, &request);
}

}  // namespace

// The namespaces are the program's, from before its first thread.
void LifecycleTest::SetUpTestSuite() {
  static bool done = false;
  if (done) return;
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: needs root";
  ASSERT_EQ(::unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << strerror(errno);
  ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
  loopback_up();
  done = true;
}

void LifecycleTest::SetUp() {
  std::string pattern = "/tmp/podshim-life-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  dir = pattern;
  ::chmod(dir.c_str(), 0755);
  make_layer(dir + "/image/layer");
  for (const char* sub : {"/cni", "/netns", "/bin", "/logs"}) fs::create_directories(dir + sub);
  facts = gather_host_facts().value();
  boot_id_file = dir + "/boot-id";
  std::ofstream(boot_id_file) << "boot-one\n";
  cgroup_parent = "/podshim-test/" + dir.substr(dir.rfind('-') + 1);
  config.podshim.root = dir + "/root";
  config.podshim.state = dir + "/state";
  config.podshim.cni_conf_dir = dir + "/cni";
  config.podshim.cni_bin_dirs = {dir + "/bin", "/usr/lib/cni"};
  config.podshim.cgroup_parent = cgroup_parent;
  config.podshim.cni_timeout = std::chrono::seconds(10);
  use_debian_plugins();
  start();
  links_before_ = links();
}

void LifecycleTest::TearDown() {
  if (!runtime && !dir.empty()) start();
  if (runtime) remove_all();
  // The kernel takes a veth away some ms after its namespace.
  EXPECT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
  runtime.reset();
  ::umount2((dir + "/netns").c_str(), MNT_DETACH);
  std::error_code ignored;
  std::vector<std::string> roots;
  if (facts.cgroup == CgroupVersion::v2)
    roots = {facts.cgroup_v2_root};
  else
    for (const auto& [controller, mount] : facts.cgroup_v1_mounts) roots.push_back(mount);
  for (const auto& root : roots)
    for (const auto& path : {cgroup_parent, std::string("/podshim-test"), "/podshim-" + instance})
      ::rmdir((root + path).c_str());  // empty or not ours
  fs::remove_all(dir, ignored);
  EXPECT_FALSE(fs::exists(dir));
}

Result<std::unique_ptr<NodeRuntime>> LifecycleTest::try_start() {
  auto inst = TRY(state::Instance::open(config.podshim.root, config.podshim.state));
  auto host =
      TRY(make_host(facts, inst.id(),
                    {.monitor_binary = PODSHIM_MONITOR, .netns_dir = dir + "/netns", .boot_id_file = boot_id_file}));
  return NodeRuntime::start({.config = config,
                             .facts = facts,
                             .images = std::make_unique<OneImage>(dir + "/image", facts),
                             .host = std::move(host),
                             .instance = std::move(inst),
                             .housekeeping = false});
}

void LifecycleTest::start() {
  auto started = try_start();
  ASSERT_TRUE(started) << started.error().text();
  runtime = *std::move(started);
  instance = read(config.podshim.root + "/instance").substr(0, 6);
  runtime->sweep();
  runtime->wait_idle();
  mounts_before_ = mounts_before_.empty() ? mount_points() : mounts_before_;
}

SandboxSpec LifecycleTest::pod(const std::string& name) const {
  return {.metadata = {.name = name, .uid = "uid-" + name, .name_space = "default"},
          .hostname = name,
          .log_directory = dir + "/logs",
          .labels = {{"app", name}},
          .namespaces = {.pid = NamespaceMode::container}};
}

ContainerSpec LifecycleTest::container(const std::string& name, std::vector<std::string> command) {
  return {.metadata = {.name = name},
          .image = "busybox:1",
          .command = std::move(command),
          .log_path = name + ".log",
          .security = {.namespaces = {.pid = NamespaceMode::container}}};
}

SandboxId LifecycleTest::run(const SandboxSpec& spec) {
  auto id = runtime->run_sandbox(spec);
  if (!id) ADD_FAILURE() << id.error().text();
  return id.value_or(SandboxId());
}

ContainerId LifecycleTest::create(const SandboxId& sandbox, const ContainerSpec& spec) {
  auto id = runtime->create_container(sandbox.str(), spec);
  if (!id) ADD_FAILURE() << id.error().text();
  return id.value_or(ContainerId());
}

ContainerId LifecycleTest::launch(const SandboxId& sandbox, const ContainerSpec& spec) {
  auto id = create(sandbox, spec);
  auto started = runtime->start_container(id.str());
  if (!started) ADD_FAILURE() << started.error().text();
  return id;
}

ContainerView LifecycleTest::wait_exit(const ContainerId& id, std::chrono::seconds patience) {
  EXPECT_TRUE(eventually(
      [&] {
        runtime->settle_lost_exits();  // as housekeeping does
        return runtime->container(id.str()).value()->state == ContainerState::exited;
      },
      patience));
  return *runtime->container(id.str()).value();
}

std::string LifecycleTest::shell(const ContainerId& id, const std::string& text) {
  auto result = runtime->exec_sync(id.str(), {"sh", "-c", text}, std::chrono::seconds(20));
  if (!result) {
    ADD_FAILURE() << result.error().text();
    return {};
  }
  EXPECT_EQ(result->exit_code, 0) << result->err;
  std::string out = result->out;
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

void LifecycleTest::remove_all() {
  const auto all = runtime->snapshot();
  for (const auto& sandbox : all->sandboxes) {
    auto removed = runtime->remove_sandbox(sandbox->id.str());
    EXPECT_TRUE(removed) << removed.error().text();
  }
  runtime->wait_idle();
  EXPECT_TRUE(runtime->snapshot()->sandboxes.empty());
  EXPECT_TRUE(runtime->snapshot()->containers.empty());
}

void LifecycleTest::use_debian_plugins(const std::string& subnet) {
  std::ofstream(dir + "/cni/10-test.conflist")
      << R"({"cniVersion":"1.0.0","name":"life","plugins":[{"type":"bridge","bridge":")"
      // A bridge keeps its gateway's address: one a subnet.
      << (subnet == "10.42.0.0/24" ? "life0" : "life1") << R"(","isGateway":true,"ipMasq":false,
"ipam":{"type":"host-local","dataDir":")"
      << dir << R"(/ipam","ranges":[[{"subnet":")" << subnet
      << R"("}]],"routes":[{"dst":"0.0.0.0/0"}]}},{"type":"portmap","capabilities":{"portMappings":true}}]})";
}

void LifecycleTest::use_script_plugin(const std::string& body) {
  std::ofstream(dir + "/bin/script") << "#!/bin/sh\n" << body;
  fs::permissions(dir + "/bin/script", fs::perms::owner_all);
  std::ofstream(dir + "/cni/10-test.conflist")
      << R"({"cniVersion":"1.0.0","name":"life","plugins":[{"type":"script"}]})";
}

void LifecycleTest::use_no_network() { fs::remove(dir + "/cni/10-test.conflist"); }

std::string LifecycleTest::read(const std::string& path) const { return sys::read_file(path).value_or(""); }

bool LifecycleTest::eventually(const std::function<bool()>& holds, std::chrono::seconds patience) const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::size_t LifecycleTest::exec_leaves(const ContainerId& id) const {
  const std::string root =
      facts.cgroup == CgroupVersion::v2 ? facts.cgroup_v2_root : facts.cgroup_v1_mounts.find("freezer")->second;
  std::size_t count = 0;
  for (const auto& name : sys::list_dir(root + cgroup_parent + "/podshim-" + instance + "-" + id.str())
                              .value_or(std::vector<std::string>{}))
    count += name.starts_with("exec") ? 1 : 0;
  return count;
}

std::vector<std::string> LifecycleTest::leftovers() const {
  std::vector<std::string> out;
  auto take = [&](const std::string& what, const std::string& in) {
    for (const auto& name : sys::list_dir(in).value_or(std::vector<std::string>{})) out.push_back(what + " " + name);
  };
  take("netns", dir + "/netns");
  take("sandbox record", dir + "/root/sandboxes");
  take("container record", dir + "/root/containers");
  take("sandbox state", dir + "/state/sandboxes");
  take("exit record", dir + "/state/exits");
  take("kill", dir + "/state/kills");
  const auto leases = sys::read_file(dir + "/ipam/life/leases").value_or("");
  if (auto at = leases.find("\nlease "); at != std::string::npos) out.push_back("lease" + leases.substr(at));
  for (const auto& name : links())
    if (name.starts_with("veth")) out.push_back("link " + name);
  auto mounts = mount_points();
  std::vector<std::string> more;
  std::set_difference(mounts.begin(), mounts.end(), mounts_before_.begin(), mounts_before_.end(),
                      std::back_inserter(more));
  for (const auto& m : more) out.push_back("mount " + m);
  for (const auto& [controller, mount] : facts.cgroup_v1_mounts)
    for (const auto& path : {cgroup_parent, "/podshim-" + instance})
      for (const auto& name : sys::list_dir(mount + path).value_or(std::vector<std::string>{}))
        if (name.starts_with("podshim-")) out.push_back("cgroup " + controller + ":" + path + "/" + name);
  for (const auto& name : sys::list_dir("/proc").value_or(std::vector<std::string>{})) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string cgroup = sys::read_file("/proc/" + name + "/cgroup").value_or("");
    if (!instance.empty() && cgroup.find("podshim-" + instance) != std::string::npos)
      out.push_back("process " + name + " " + sys::read_file("/proc/" + name + "/comm").value_or(""));
  }
  return out;
}

}  // namespace podshim::lifecycle::test
