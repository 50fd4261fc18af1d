// A process that imports and removes is killed at random moments; the next open lists whole images only, each with the
// tree it should have, and sweeps the rest. Rounds: 12, or 200 with PODSHIM_LONG.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/disk_store.h"
#include "tests/support/long_run.h"

namespace podshim::image::test {
namespace {

const HostFacts kFacts = host_facts();

// `mark` is a file that it makes after the first import.
[[noreturn]] void import_and_remove(const std::string& dir, const std::vector<std::string>& files,
                                    const std::string& mark) {
  auto store = DiskImageStore::open(dir, kFacts, {}, nullptr);
  if (!store) ::_exit(3);
  for (std::size_t i = 0;; i++) {
    auto got = (*store)->import(files[i % files.size()]);
    if (!got) ::_exit(4);
    if (i == 0 && !sys::write_file(mark, "", 0600)) ::_exit(6);
    if (i % 2 == 1 && !(*store)->remove(got->front().id)) ::_exit(5);
  }
}

TEST(Kill, OnlyWholeImagesAreListed) {
  std::string images = images_dir();
  const std::vector<std::string> files = {images + "/multi.tar", images + "/multi-zstd.oci", images + "/probe.oci",
                                          images + "/multi.oci", images + "/busybox.tar"};
  TempDir tmp;
  std::map<std::string, std::map<std::string, std::string>> trees;  // by image id
  {
    auto store = DiskImageStore::open(tmp / "good", kFacts, {}, nullptr);
    ASSERT_TRUE(store);
    for (const auto& file : files) {
      auto got = (*store)->import(file);
      ASSERT_TRUE(got) << got.error().text();
      std::string dir = tmp / "c";
      ASSERT_TRUE(sys::make_dir(dir));
      trees[got->front().id] = read_tree(fd_path((*store)->mount_readonly(got->front(), dir).value()));
    }
  }
  int rounds = podshim::test::long_run() ? 200 : 12, listed = 0;
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < rounds; round++) {
    const std::string mark = tmp / ("imported-" + std::to_string(round));
    pid_t child = ::fork();
    if (child == 0) import_and_remove(tmp / "images", files, mark);
    // Every other round counts from the first import: on a loaded machine all of the delay may pass before it.
    if (round % 2 == 0) {
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (!sys::exists(mark) && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    int delay = static_cast<int>(random() % 300);
    SCOPED_TRACE("round " + std::to_string(round) + ", killed after " + std::to_string(delay) + " ms");
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it failed by itself: " << WEXITSTATUS(status);

    std::vector<std::string> quarantined;
    auto store = DiskImageStore::open(tmp / "images", kFacts, {}, &quarantined);
    ASSERT_TRUE(store) << store.error().text();
    EXPECT_EQ(quarantined, std::vector<std::string>{});
    (*store)->wait_for_trash();
    EXPECT_EQ(sys::list_dir(tmp / "images/ingest").value().size(), 0u);
    EXPECT_EQ(sys::list_dir(tmp / "images/trash").value().size(), 0u);
    std::set<std::string> layers = {"empty"};
    for (const auto& image : (*store)->list()) {
      auto mount = (*store)->mount_readonly(image, tmp / "c");
      ASSERT_TRUE(mount) << mount.error().text();
      EXPECT_EQ(difference(trees.at(image.id), read_tree(fd_path(*mount))), "") << image.id;
      Digest chain;
      for (const auto& diff_id : image.layers)
        layers.insert((chain = chain_id(chain, Digest::parse(diff_id).value())).hex().substr(0, 16));
      listed++;
    }
    // "c" counts as a container that uses what was mounted, so only "nothing missing" can be said of the layers.
    auto there = sys::list_dir(tmp / "images/layers").value();
    for (const auto& name : layers) EXPECT_TRUE(std::find(there.begin(), there.end(), name) != there.end()) << name;
  }
  EXPECT_GT(listed, 0) << "no round ended with an image: nothing was tested";
}

}  // namespace
}  // namespace podshim::image::test
