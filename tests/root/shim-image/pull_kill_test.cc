// A process that pulls and removes is killed at random moments: the next open lists whole images only, each with the
// tree it should have, keeps no leftovers, and the next pull works. Rounds: 10, or 50 with PODSHIM_LONG.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/disk_store.h"
#include "test_registry.h"
#include "tests/support/long_run.h"
#include "tests/support/no_proxy.h"

namespace podshim::image::test {
namespace {

StoreLimits limits_of(const TestRegistry& registry) {
  auto registries = decode_registries("mirrors: {\"*\": {endpoint: [\"" + registry.url() + "\"]}}", "registries.yaml");
  return {.pull = {.registries = std::make_shared<const Registries>(*std::move(registries))}};
}

[[noreturn]] void pull_and_remove(const std::string& dir, const StoreLimits& limits) {
  auto store = DiskImageStore::open(dir, host_facts(), limits, nullptr);
  if (!store) ::_exit(3);
  for (int i = 0;; i++) {
    auto got = (*store)->pull({.reference = std::string("e.com/x:t") + (i % 2 == 0 ? "1" : "2")});
    if (!got) ::_exit(4);
    if (i % 3 == 2 && !(*store)->remove(got->id)) ::_exit(5);
  }
}

TEST(PullKill, OnlyWholeImagesAreListed) {
  podshim::test::ignore_proxies();
  TempDir tmp;
  std::vector<TarEntry> files = {{.path = "d", .type = S_IFDIR, .mode = 0755}};
  for (int i = 0; i < 300; i++)
    files.push_back({.path = "d/" + std::to_string(i), .data = std::string(static_cast<std::size_t>(i) * 50, 'x')});
  std::string shared = gzip(make_tar(files)), diff = Digest::of(make_tar(files)).text();
  for (const char* tag : {"1", "2"}) {
    std::string own = make_tar({{.path = std::string("own-") + tag, .data = std::string(200'000, *tag)}});
    add_image(tmp / "l",
              {.name = std::string("x:t") + tag, .layers = {shared, own}, .diff_ids = {diff, Digest::of(own).text()}});
  }
  auto registry = std::make_unique<TestRegistry>(tmp / "l");
  registry->twist([](const Asked& asked, Answer& answer) {  // so slow that most kills meet a pull
    if (asked.is_blob()) answer.pause_ms = 10, answer.piece = 20'000;
  });
  const StoreLimits limits = limits_of(*registry);
  std::map<std::string, std::map<std::string, std::string>> trees;  // by image id
  {
    auto store = DiskImageStore::open(tmp / "good", host_facts(), limits, nullptr);
    ASSERT_TRUE(store);
    ASSERT_TRUE(sys::make_dir(tmp / "c"));
    for (const char* tag : {"1", "2"}) {
      auto got = (*store)->pull({.reference = std::string("e.com/x:t") + tag});
      ASSERT_TRUE(got) << got.error().text();
      trees[got->id] = read_tree(fd_path((*store)->mount_readonly(*got, tmp / "c").value()));
    }
  }
  const int rounds = podshim::test::long_run() ? 50 : 10;
  int listed = 0, torn = 0;
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < rounds; round++) {
    registry->forget();
    pid_t child = ::fork();
    if (child == 0) pull_and_remove(tmp / "images", limits);
    // Every other round counts from the first request: on a loaded machine all of the delay may pass before it.
    if (round % 2 == 0) {
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (registry->asked().empty() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto delay = std::chrono::milliseconds(random() % 250);
    SCOPED_TRACE("round " + std::to_string(round) + ", killed after " + std::to_string(delay.count()) + " ms");
    std::this_thread::sleep_for(delay);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it failed by itself: " << WEXITSTATUS(status);
    if (auto left = sys::list_dir(tmp / "images/ingest"); left && !left->empty()) torn++;

    std::vector<std::string> quarantined;
    auto store = DiskImageStore::open(tmp / "images", host_facts(), limits, &quarantined);
    ASSERT_TRUE(store) << store.error().text();
    EXPECT_EQ(quarantined, std::vector<std::string>{});
    (*store)->wait_for_trash();
    EXPECT_EQ(sys::list_dir(tmp / "images/ingest").value().size(), 0u);
    for (const auto& image : (*store)->list()) {
      auto mount = (*store)->mount_readonly(image, tmp / "c");
      ASSERT_TRUE(mount) << mount.error().text();
      EXPECT_EQ(difference(trees.at(image.id), read_tree(fd_path(*mount))), "") << image.id;
      listed++;
    }
    auto again = (*store)->pull({.reference = "e.com/x:t1"});
    ASSERT_TRUE(again) << again.error().text();
    if (round % 2 == 0) {
      ASSERT_TRUE((*store)->remove(again->id));
    }
  }
  EXPECT_GT(listed, 0) << "no round ended with an image: nothing was tested";
  EXPECT_GT(torn, 0) << "no round was killed in a pull: nothing was tested";
}

}  // namespace
}  // namespace podshim::image::test
