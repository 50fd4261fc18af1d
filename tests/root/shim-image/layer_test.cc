// Layers made by hand: what overlayfs needs of them, and hostile ones.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/disk_store.h"

namespace podshim::image::test {
namespace {

struct Fixture {
  TempDir tmp;
  std::unique_ptr<DiskImageStore> store;
  int containers = 0;
  explicit Fixture(StoreLimits limits = {}, bool lowerdir_plus = host_facts().overlay_lowerdir_plus) {
    auto opened = DiskImageStore::open(tmp / "images", {.overlay_lowerdir_plus = lowerdir_plus}, limits, nullptr);
    EXPECT_TRUE(opened) << opened.error().text();
    store = std::move(*opened);
  }
  Result<Image> import(const std::vector<std::string>& layers, const std::string& name = "x:1") {
    (void)sys::remove_tree(tmp / "layout");
    add_image(tmp / "layout", {.name = "docker.io/library/" + name, .layers = layers});
    auto images = store->import(tmp / "layout");
    if (!images) return fail(std::move(images).error());
    return images->front();
  }
  Fd mount(const Image& image) {
    std::string dir = tmp / ("container-" + std::to_string(containers++));
    EXPECT_EQ(::mkdir(dir.c_str(), 0700), 0);
    auto fd = store->mount_rootfs(image, dir);
    EXPECT_TRUE(fd) << fd.error().text();
    return fd ? *std::move(fd) : Fd();
  }
};

TEST(Layer, ImpliedDirectoriesKeepWhatTheLowerLayerSaid) {
  Fixture f;
  std::string lower =
      make_tar({{.path = "./", .type = S_IFDIR, .mode = 0751, .uid = 7},
                {.path = "a", .type = S_IFDIR, .mode = 01777, .uid = 5, .gid = 6, .xattrs = {{"user.k", "v"}}},
                {.path = "a/b", .type = S_IFDIR, .mode = 0700}});
  std::string upper = make_tar({{.path = "a/b/new/file"}});
  auto image = f.import({lower, upper});
  ASSERT_TRUE(image) << image.error().text();
  Fd root = f.mount(*image);
  auto tree = read_tree(fd_path(root));
  EXPECT_TRUE(tree[""].starts_with("dir 751 7:0")) << tree[""];
  EXPECT_TRUE(tree["a"].starts_with("dir 1777 5:6")) << tree["a"];
  EXPECT_NE(tree["a"].find("user.k"), std::string::npos) << tree["a"];
  EXPECT_TRUE(tree["a/b"].starts_with("dir 700 0:0")) << tree["a/b"];
  EXPECT_TRUE(tree["a/b/new"].starts_with("dir 755 0:0")) << tree["a/b/new"];
  EXPECT_TRUE(tree.contains("a/b/new/file"));
}

TEST(Layer, LinksToFilesOfLowerLayersAreCopies) {
  Fixture f;
  std::string lower = make_tar({{.path = "f", .data = "text", .mode = 04755, .uid = 3, .xattrs = {{"user.k", "v"}}}});
  std::string upper = make_tar({{.path = "g", .hard_link = "f"}, {.path = "h", .hard_link = "g"}});
  auto image = f.import({lower, upper});
  ASSERT_TRUE(image) << image.error().text();
  Fd root = f.mount(*image);
  auto tree = read_tree(fd_path(root));
  for (const char* name : {"f", "g", "h"}) {
    EXPECT_TRUE(tree[name].starts_with("file 4755 3:0 4 982d9e3eb996")) << tree[name];
  }
  EXPECT_TRUE(tree["g"].ends_with("= g") && tree["h"].ends_with("= g")) << tree["g"] << tree["h"];
}

TEST(Layer, WhiteoutsHideInAnyOrder) {
  struct Case {
    const char* name;
    std::vector<TarEntry> upper;
    std::vector<std::string> left;  // below d, of {f, s/x, s/y}
  };
  const Case cases[] = {
      {"a file", {{.path = "d/.wh.f"}}, {"s", "s/x", "s/y"}},
      {"a directory", {{.path = "d/.wh.s"}}, {"f"}},
      {"what is not there", {{.path = "d/.wh.nothing"}}, {"f", "s", "s/x", "s/y"}},
      {"opaque", {{.path = "d/.wh..wh..opq"}, {.path = "d/n"}}, {"n"}},
      {"opaque after its new entry", {{.path = "d/n"}, {.path = "d/.wh..wh..opq"}}, {"n"}},
      {"opaque of a directory below", {{.path = "d/s/.wh..wh..opq"}, {.path = "d/s/z"}}, {"f", "s", "s/z"}},
      {"a directory made anew",
       {{.path = "d/.wh.s"}, {.path = "d/s", .type = S_IFDIR}, {.path = "d/s/z"}},
       {"f", "s", "s/z"}},
      {"made anew, the whiteout last",
       {{.path = "d/s", .type = S_IFDIR}, {.path = "d/s/z"}, {.path = "d/.wh.s"}},
       {"f", "s", "s/z"}},
      {"made anew by implication", {{.path = "d/.wh.s"}, {.path = "d/s/z"}}, {"f", "s", "s/z"}},
      {"a file made anew", {{.path = "d/.wh.f"}, {.path = "d/f"}}, {"f", "s", "s/x", "s/y"}},
      {"a directory becomes a file", {{.path = "d/s"}}, {"f", "s"}},
      {"a file becomes a directory",
       {{.path = "d/f", .type = S_IFDIR}, {.path = "d/f/q"}},
       {"f", "f/q", "s", "s/x", "s/y"}},
      {"an opaque root", {{.path = ".wh..wh..opq"}, {.path = "d/n"}}, {"n"}},
      {"notes of aufs", {{.path = ".wh..wh.plnk/1"}, {.path = "d/.wh..wh.aufs"}}, {"f", "s", "s/x", "s/y"}},
  };
  std::string lower = make_tar({{.path = "d", .type = S_IFDIR},
                                {.path = "d/f"},
                                {.path = "d/s", .type = S_IFDIR},
                                {.path = "d/s/x"},
                                {.path = "d/s/y"}});
  std::set<bool> ways = {host_facts().overlay_lowerdir_plus, false};
  for (bool lowerdir_plus : ways) {
    for (const auto& c : cases) {
      SCOPED_TRACE(c.name);
      Fixture f({}, lowerdir_plus);
      auto image = f.import({lower, make_tar(c.upper)});
      ASSERT_TRUE(image) << image.error().text();
      Fd root = f.mount(*image);
      std::vector<std::string> left;
      for (const auto& [path, line] : read_tree(fd_path(root) + "/d")) {
        if (!path.empty()) left.push_back(path);
      }
      EXPECT_EQ(left, c.left);
    }
  }
}

TEST(Layer, AttributesArriveWhole) {
  Fixture f;
  std::string capability("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  auto image = f.import({make_tar({
      {.path = "suid",
       .data = "x",
       .mode = 06755,
       .uid = 10,
       .gid = 20,
       .xattrs = {{"security.capability", capability}}},
      {.path = "redirected",
       .xattrs = {{"trusted.overlay.redirect", "/etc"}, {"trusted.overlay.opaque", "y"}, {"user.overlay.x", "y"}}},
      {.path = "big-uid", .uid = 4'000'000'000, .gid = 4'294'967'294},
      {.path = "dir", .type = S_IFDIR, .mode = 02775, .mtime = 12345},
      {.path = "dir/\xc3\xbc\xe2\x82\xac", .data = "utf8", .mtime = 99},
      {.path = "link", .type = S_IFLNK, .data = "../../etc/passwd", .mtime = 77},
      {.path = "null", .type = S_IFCHR, .mode = 0666},
      {.path = "fifo", .type = S_IFIFO, .mode = 0600},
  })});
  ASSERT_TRUE(image) << image.error().text();
  Fd root = f.mount(*image);
  auto tree = read_tree(fd_path(root));
  EXPECT_TRUE(tree["suid"].starts_with("file 6755 10:20 1 ")) << tree["suid"];
  EXPECT_NE(tree["suid"].find("security.capability"), std::string::npos) << tree["suid"];
  EXPECT_TRUE(tree["big-uid"].starts_with("file 644 4000000000:4294967294")) << tree["big-uid"];
  EXPECT_EQ(tree["dir"], "dir 2775 0:0 @12345.0");
  EXPECT_TRUE(tree["dir/\xc3\xbc\xe2\x82\xac"].ends_with("@99.0"));
  EXPECT_EQ(tree["link"], "link 777 0:0 -> ../../etc/passwd @77.0");
  EXPECT_TRUE(tree["null"].starts_with("chr 666 0:0 1:3")) << tree["null"];
  EXPECT_TRUE(tree["fifo"].starts_with("fifo 600")) << tree["fifo"];
  // Below the overlay, where trusted.* is not filtered.
  std::string layer =
      f.tmp / ("images/layers/" + Digest::parse(image->layers[0])->hex().substr(0, 16) + "/fs/redirected");
  char value[16];
  for (const char* name : {"trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.x"}) {
    EXPECT_EQ(::lgetxattr(layer.c_str(), name, value, sizeof value), -1) << name;
    EXPECT_EQ(errno, ENODATA) << name;
  }
}

TEST(Layer, HostileOnesStayInsideAndSayWhy) {
  struct Case {
    const char* name;
    std::vector<TarEntry> entries;
    const char* error;  // nullptr: harmless, taken inside
  };
  const Case cases[] = {
      {"dot dot", {{.path = "../escape"}}, "'..'"},
      {"dot dot in the middle", {{.path = "a/../../escape"}}, "'..'"},
      {"absolute", {{.path = "/escape"}}, nullptr},
      {"through a symlink up",
       {{.path = "s", .type = S_IFLNK, .data = "../../../../.."}, {.path = "s/escape"}},
       nullptr},
      {"through an absolute symlink", {{.path = "s", .type = S_IFLNK, .data = "/"}, {.path = "s/escape"}}, nullptr},
      {"through a dangling symlink",
       {{.path = "s", .type = S_IFLNK, .data = "/no/where"}, {.path = "s/escape"}},
       "not a directory"},
      {"through a symlink to itself",
       {{.path = "s", .type = S_IFLNK, .data = "s"}, {.path = "s/escape"}},
       "not a directory"},
      {"through a file", {{.path = "f"}, {.path = "f/escape"}}, "not a directory"},
      {"file over a symlink",
       {{.path = "s", .type = S_IFLNK, .data = "CANARY"}, {.path = "s", .data = "overwritten"}},
       nullptr},
      {"hard link up", {{.path = "h", .hard_link = "../../canary"}}, "'..'"},
      {"hard link to the host", {{.path = "h", .hard_link = "CANARY"}}, "no file of this layer"},
      {"hard link through a symlink",
       {{.path = "s", .type = S_IFLNK, .data = "TMP"}, {.path = "h", .hard_link = "s/canary"}},
       "no file of this layer"},
      {"hard link to a directory",
       {{.path = "d", .type = S_IFDIR}, {.path = "h", .hard_link = "d"}},
       "hard link to a directory"},
      {"hard link to the root", {{.path = "h", .hard_link = "/"}}, "hard link to the root"},
      {"the root as a file", {{.path = ".", .data = "x"}}, "the root is a directory"},
      {"whiteout of dot dot", {{.path = "d/.wh..."}}, "whiteout of no name"},
      {"whiteout as a directory", {{.path = ".wh.d/f"}}, "whiteout is not a directory"},
      {"whiteout through a symlink",
       {{.path = "s", .type = S_IFLNK, .data = "TMP"}, {.path = "s/.wh.canary"}},
       "not a directory"},
      {"opaque through a symlink",
       {{.path = "s", .type = S_IFLNK, .data = "TMP"}, {.path = "s/.wh..wh..opq"}},
       "not a directory"},
      {"long name", {{.path = std::string(300, 'n')}}, "longer than 255"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Fixture f;
    write_text(f.tmp / "canary", "alive");
    auto entries = c.entries;
    for (auto& e : entries) {
      for (std::string* text : {&e.data, &e.hard_link}) {
        if (*text == "CANARY") *text = f.tmp / "canary";
        if (*text == "TMP") *text = f.tmp.path();
      }
    }
    auto image = f.import({make_tar(entries)});
    ASSERT_EQ(image.has_value(), c.error == nullptr) << (image ? "taken" : image.error().text());
    if (!image) {
      EXPECT_NE(image.error().text().find(c.error), std::string::npos) << image.error().text();
      EXPECT_EQ(image.error().kind, ErrorKind::invalid_argument) << image.error().text();
      EXPECT_TRUE(f.store->list().empty());
    }
    f.store->wait_for_trash();
    std::string out;
    run("find " + f.tmp.path() + " / -xdev -maxdepth 1 -name escape; find " + (f.tmp / "images") +
            " -maxdepth 1 -name escape",
        &out);
    EXPECT_EQ(out, "");
    EXPECT_EQ(read_text(f.tmp / "canary"), "alive");
    struct stat st{};
    ASSERT_EQ(::stat((f.tmp / "canary").c_str(), &st), 0);
    EXPECT_EQ(st.st_nlink, 1u);
    if (c.error != nullptr) {
      run("ls " + (f.tmp / "images/layers") + " " + (f.tmp / "images/ingest") + " " + (f.tmp / "images/trash") + " " +
              (f.tmp / "images/blobs/sha256") + " | grep -vE ':$|^$|^empty$'",
          &out);
      EXPECT_EQ(out, "") << "left behind";
    }
  }
}

TEST(Layer, BombsEndAtTheLimits) {
  StoreLimits limits{.layer = {.bytes = 1 << 20, .entries = 100}};
  std::vector<TarEntry> many;
  for (int i = 0; i < 101; i++) many.push_back({.path = "f" + std::to_string(i)});
  std::string large = make_tar({{.path = "f", .data = std::string(2 << 20, '\0')}});
  struct Case {
    const char* name;
    std::string layer, diff_id, error;
  };
  const Case cases[] = {
      {"many entries", make_tar(many), "", "100 entries"},
      {"many bytes", large, "", "1048576 bytes"},
      {"deflated", gzip(large), Digest::of(large).text(), "1048576 bytes"},
      {"after the end", make_tar({{.path = "f"}}) + std::string(2 << 20, '\0'), "", "1048576 bytes"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Fixture f(limits);
    std::vector<std::string> diff_ids;
    if (!c.diff_id.empty()) diff_ids = {c.diff_id};
    add_image(f.tmp / "layout", {.name = "x:1", .layers = {c.layer}, .diff_ids = diff_ids});
    auto got = f.store->import(f.tmp / "layout");
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::resource_exhausted) << got.error().text();
    EXPECT_NE(got.error().text().find(c.error), std::string::npos) << got.error().text();
    EXPECT_TRUE(f.store->list().empty());
  }
}

// Mounts in this process's table that have to do with `dir`: at it, or with an upper in it.
std::string mounts_of(const std::string& dir) {
  std::istringstream table(read_text("/proc/self/mountinfo"));
  std::string out;
  for (std::string line; std::getline(table, line);)
    if (line.find(dir) != std::string::npos) out += line + "\n";
  return out;
}

TEST(Layer, FortyAndMoreFitOnEveryKernel) {
  struct Case {
    int layers;
    bool lowerdir_plus, ok;
  };
  for (const auto& c :
       {Case{40, true, true}, Case{40, false, true}, Case{12, false, true}, Case{1, false, true}, Case{0, false, true},
        Case{0, true, true}, Case{60, false, true}, Case{210, true, true}, Case{210, false, false}}) {
    if (c.lowerdir_plus && !host_facts().overlay_lowerdir_plus) continue;  // before 6.5
    SCOPED_TRACE(std::to_string(c.layers) + (c.lowerdir_plus ? " with" : " without") + " lowerdir+");
    Fixture f({}, c.lowerdir_plus);
    std::vector<std::string> layers;
    for (int i = 0; i < c.layers; i++) {
      layers.push_back(
          make_tar({{.path = "f" + std::to_string(i), .data = "x"}, {.path = "top", .data = std::to_string(i)}}));
    }
    auto image = f.import(layers);
    ASSERT_TRUE(image) << image.error().text();
    std::string dir = f.tmp / "c";
    ASSERT_EQ(::mkdir(dir.c_str(), 0700), 0);
    auto root = f.store->mount_rootfs(*image, dir);
    ASSERT_EQ(root.has_value(), c.ok) << root.error().text();
    EXPECT_EQ(mounts_of(f.tmp.path()), "") << "a mount table grew";
    if (!root) {
      EXPECT_NE(root.error().text().find("210 layers"), std::string::npos) << root.error().text();
      continue;
    }
    auto tree = read_tree(fd_path(*root));
    EXPECT_EQ(tree.size(), static_cast<std::size_t>(c.layers == 0 ? 1 : c.layers + 2));
    EXPECT_EQ(read_text(fd_path(*root) + "/top"), c.layers == 0 ? "" : std::to_string(c.layers - 1));
    write_text(fd_path(*root) + "/written", "w");
    EXPECT_EQ(read_text(dir + "/upper/written"), "w");
    auto readonly = f.store->mount_readonly(*image, dir);
    ASSERT_TRUE(readonly) << readonly.error().text();
    EXPECT_NE(::open((fd_path(*readonly) + "/w").c_str(), O_CREAT | O_WRONLY, 0600), 0);
    EXPECT_EQ(errno, EROFS);
  }
}

// A sub path of an image: links resolve inside it, what is not there is said, and it outlives the view it came from.
TEST(Layer, ASubPathOfAnImageIsAMountOfItsOwn) {
  Fixture f({}, false);
  auto image = f.import({make_tar({{.path = "etc", .type = S_IFDIR, .mode = 0755},
                                   {.path = "etc/passwd", .data = "users"},
                                   {.path = "link", .type = S_IFLNK, .data = "/etc"},
                                   {.path = "out", .type = S_IFLNK, .data = "../../../../proc"}})});
  ASSERT_TRUE(image) << image.error().text();
  std::string dir = f.tmp / "c";
  ASSERT_EQ(::mkdir(dir.c_str(), 0700), 0);
  for (const char* path : {"etc", "/etc", "link", "etc/../link/"}) {
    auto mount = f.store->mount_readonly(*image, dir, path);
    ASSERT_TRUE(mount) << path << ": " << mount.error().text();
    EXPECT_EQ(read_text(fd_path(*mount) + "/passwd"), "users") << path;
    EXPECT_NE(::open((fd_path(*mount) + "/w").c_str(), O_CREAT | O_WRONLY, 0600), 0);
    EXPECT_EQ(errno, EROFS);
  }
  for (const char* path : {"none", "out", "etc/passwd/x"}) {
    auto mount = f.store->mount_readonly(*image, dir, path);
    ASSERT_FALSE(mount) << path;
    EXPECT_TRUE(mount.error().is(ENOENT) || mount.error().is(ENOTDIR)) << mount.error().text();
  }
  EXPECT_EQ(mounts_of(f.tmp.path()), "") << "a mount table grew";
}

TEST(Layer, AContainerDirectoryMayHaveAnyName) {
  Fixture f({}, false);
  auto image = f.import({make_tar({{.path = "f", .data = "x"}})});
  ASSERT_TRUE(image);
  for (std::string name : {"with,comma", "with:colon", "with\\back", "with space"}) {
    std::string dir = f.tmp / name;
    ASSERT_EQ(::mkdir(dir.c_str(), 0700), 0);
    auto root = f.store->mount_rootfs(*image, dir);
    ASSERT_TRUE(root) << name << ": " << root.error().text();
    write_text(fd_path(*root) + "/w", "w");
    EXPECT_EQ(read_text(dir + "/upper/w"), "w") << name;
  }
}

}  // namespace
}  // namespace podshim::image::test
