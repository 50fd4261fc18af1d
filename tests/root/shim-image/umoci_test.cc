// The merged tree of an image beside what umoci unpacks of the same one, and the store read by skopeo as the OCI layout
// that it is.
#include <gtest/gtest.h>
#include <unistd.h>

#include "layout_builder.h"
#include "shim/image/disk_store.h"

namespace podshim::image::test {
namespace {

std::map<std::string, std::string> umoci_tree(const TempDir& tmp, const std::string& layout, const std::string& tag) {
  std::string out, bundle = tmp / "bundle";
  EXPECT_EQ(run("rm -rf " + bundle + " && umoci unpack --image " + layout + ":" + tag + " " + bundle, &out), 0) << out;
  return read_tree(bundle + "/rootfs");
}

// umoci takes tags, not names, on its command line.
std::string retagged(const TempDir& tmp, const std::string& layout, const std::string& name) {
  std::string out, copy = tmp / (name + "-copy");
  EXPECT_EQ(run("skopeo copy -q oci:" + layout + ":podshim.dev/" + name + ":1 oci:" + copy + ":t", &out), 0) << out;
  return copy;
}

std::map<std::string, std::string> merged_tree(DiskImageStore& store, const Image& image,
                                               const std::string& container) {
  EXPECT_EQ(::mkdir(container.c_str(), 0700), 0);
  auto mount = store.mount_rootfs(image, container);
  EXPECT_TRUE(mount) << mount.error().text();
  return mount ? read_tree(fd_path(*mount)) : std::map<std::string, std::string>();
}

TEST(Umoci, UnpacksTheSameTree) {
  std::string images = images_dir();
  struct Case {
    const char* name;
    std::string file, layout;
  };
  const Case cases[] = {
      {"gzip layers", images + "/multi.oci", images + "/multi.oci"},
      {"plain layers in a docker-archive", images + "/multi.tar", images + "/multi.oci"},
      {"zstd layers", images + "/multi-zstd.oci", images + "/multi.oci"},
      {"one layer", images + "/busybox.oci", images + "/busybox.oci"},
      {"two layers", images + "/probe.tar", images + "/probe.oci"},
  };
  TempDir unpacked;
  std::map<std::string, std::map<std::string, std::string>> trees;  // by layout
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir tmp;
    auto store = DiskImageStore::open(tmp / "images", host_facts(), {}, nullptr);
    ASSERT_TRUE(store) << store.error().text();
    auto added = (*store)->import(c.file);
    ASSERT_TRUE(added) << added.error().text();
    ASSERT_EQ(added->size(), 1u);
    std::string name = c.layout.substr(c.layout.rfind('/') + 1);
    name.resize(name.size() - 4);
    auto& want = trees[c.layout];
    if (want.empty()) want = umoci_tree(unpacked, retagged(unpacked, c.layout, name), "t");
    EXPECT_GT(want.size(), 30u);
    EXPECT_EQ(difference(want, merged_tree(**store, added->front(), tmp / "container")), "");
  }
}

TEST(Umoci, TheConfigIsRead) {
  TempDir tmp;
  auto store = DiskImageStore::open(tmp / "images", host_facts(), {}, nullptr);
  ASSERT_TRUE(store);
  std::string images = images_dir();
  auto multi = (*store)->import(images + "/multi.tar");
  ASSERT_TRUE(multi) << multi.error().text();
  const ImageProcess want{.cmd = {"sh"},
                          .env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=b"},
                          .working_dir = "/data",
                          .stop_signal = "SIGUSR1",
                          .volumes = {"/vol"}};
  EXPECT_EQ(multi->front().process, want);
  EXPECT_EQ(multi->front().repo_tags, std::vector<std::string>{"podshim.dev/multi:1"});
  ASSERT_TRUE((*store)->import(images + "/nocommand.oci"));
  EXPECT_TRUE((*store)->find("podshim.dev/nocommand:1")->process.cmd.empty());
  ASSERT_TRUE((*store)->import(images + "/users-numeric.tar"));
  EXPECT_EQ((*store)->find("podshim.dev/users-numeric:1")->process.user, "1003:1004");
}

TEST(Skopeo, ReadsTheStore) {
  TempDir tmp;
  {
    auto store = DiskImageStore::open(tmp / "images", host_facts(), {}, nullptr);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->import(images_dir() + "/multi.tar"));
  }
  std::string out;
  std::string from = "oci:" + (tmp / "images") + ":podshim.dev/multi:1";
  EXPECT_EQ(run("skopeo copy -q " + from + " docker-archive:" + (tmp / "out.tar") + ":podshim.dev/again:1", &out), 0)
      << out;
  auto store = DiskImageStore::open(tmp / "again", host_facts(), {}, nullptr);
  ASSERT_TRUE(store);
  auto again = (*store)->import(tmp / "out.tar");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->front().repo_tags, std::vector<std::string>{"podshim.dev/again:1"});
}

}  // namespace
}  // namespace podshim::image::test
