// The store: what imports refuse, names, restarts, damage, layers in use, a full disk.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "common/json.h"
#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/disk_store.h"

namespace podshim::image::test {
namespace {

using Store = std::unique_ptr<DiskImageStore>;

Store open_store(const std::string& dir, std::vector<std::string>* quarantined = nullptr) {
  std::vector<std::string> own;
  auto store = DiskImageStore::open(dir, host_facts(), {}, quarantined != nullptr ? quarantined : &own);
  EXPECT_TRUE(store) << store.error().text();
  if (quarantined == nullptr) {
    EXPECT_EQ(own, std::vector<std::string>{});
  }
  return *std::move(store);
}

std::string layer(const std::string& text) { return make_tar({{.path = text, .data = text}}); }

std::vector<std::string> files_in(const std::string& dir) {
  auto names = sys::list_dir(dir);
  EXPECT_TRUE(names) << dir;
  return *names;
}

TEST(Import, RefusesWhatIsBrokenAndLeavesNothing) {
  struct Case {
    const char* name;
    std::function<std::string(const TempDir&)> make;  // gives the path to import
    const char* error;
  };
  auto layout = [](const TempDir& tmp, LayoutImage image = {.name = "x:1", .layers = {layer("a"), layer("b")}}) {
    add_image(tmp / "l", image);
    return tmp / "l";
  };
  const Case cases[] = {
      {"no such file", [](const TempDir& t) { return t / "nothing"; }, "ENOENT"},
      {"an empty file",
       [](const TempDir& t) {
         write_text(t / "f", "");
         return t / "f";
       },
       "neither an OCI layout"},
      {"not an archive",
       [](const TempDir& t) {
         write_text(t / "f", std::string(5000, 'x'));
         return t / "f";
       },
       "open tar"},
      {"an empty directory", [](const TempDir& t) { return t.path(); }, "neither an OCI layout"},
      {"a tar without documents",
       [](const TempDir& t) {
         write_text(t / "f", layer("a"));
         return t / "f";
       },
       "neither an OCI layout"},
      {"broken index",
       [&](const TempDir& t) {
         layout(t);
         write_text(t / "l/index.json", "{");
         return t / "l";
       },
       "index.json"},
      {"no image",
       [&](const TempDir& t) {
         layout(t);
         write_text(t / "l/index.json", R"({"manifests":[]})");
         return t / "l";
       },
       "no image in it"},
      {"a layer is missing",
       [&](const TempDir& t) {
         layout(t);
         ::unlink(blob_path(t / "l", layer("b")).c_str());
         return t / "l";
       },
       "not in the image file"},
      {"a layer is another",
       [&](const TempDir& t) {
         layout(t);
         write_text(blob_path(t / "l", layer("b")), layer("c"));
         return t / "l";
       },
       "it should be sha256:"},
      {"a layer is a symlink out",
       [&](const TempDir& t) {
         layout(t);
         auto p = blob_path(t / "l", layer("b"));
         ::unlink(p.c_str());
         EXPECT_EQ(::symlink("/etc/passwd", p.c_str()), 0);
         return t / "l";
       },
       "not in the image file"},
      {"wrong diff id",
       [&](const TempDir& t) {
         return layout(t, {.name = "x:1", .layers = {layer("a")}, .diff_ids = {Digest::of("z").text()}});
       },
       "the layer's content has"},
      {"diff ids too few",
       [&](const TempDir& t) {
         return layout(
             t, {.name = "x:1", .layers = {layer("a"), layer("b")}, .diff_ids = {Digest::of(layer("a")).text()}});
       },
       "diff ids"},
      {"a truncated layer",
       [&](const TempDir& t) {
         return layout(
             t, {.name = "x:1", .layers = {make_tar({{.path = "a", .data = std::string(9999, 'x')}}).substr(0, 3000)}});
       },
       "unpack layer"},
      {"a truncated gzip",
       [&](const TempDir& t) {
         auto z = gzip(layer("a"));
         return layout(t, {.name = "x:1", .layers = {z.substr(0, z.size() / 2)}});
       },
       "unpack layer"},
      {"another platform",
       [&](const TempDir& t) { return layout(t, {.name = "x:1", .layers = {}, .architecture = "s390x"}); }, "s390x"},
      {"a bad name", [&](const TempDir& t) { return layout(t, {.name = "A/B:!", .layers = {layer("a")}}); },
       "image reference"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir tmp;
    Store store = open_store(tmp / "images");
    auto got = store->import(c.make(tmp));
    ASSERT_FALSE(got) << "taken";
    EXPECT_NE(got.error().text().find(c.error), std::string::npos) << got.error().text();
    EXPECT_TRUE(store->list().empty());
    store->wait_for_trash();
    EXPECT_EQ(files_in(tmp / "images/layers"), std::vector<std::string>{"empty"});
    for (const char* dir : {"ingest", "trash", "blobs/sha256"})
      EXPECT_TRUE(files_in(tmp / ("images/" + std::string(dir))).empty()) << dir;
  }
}

TEST(Import, TakesWholeArchivesInAnyWrapping) {
  TempDir tmp;
  Store store = open_store(tmp / "images");
  std::string images = images_dir(), out;
  auto want = store->import(images + "/multi.tar");
  ASSERT_TRUE(want) << want.error().text();
  ASSERT_EQ(run("gzip -1c " + images + "/multi.tar > " + (tmp / "multi.tar.gz") + " && zstd -q " + images +
                    "/multi.tar -o " + (tmp / "multi.tar.zst") + " && tar -cf " + (tmp / "oci.tar") + " -C " + images +
                    "/multi.oci . && gzip -1k " + (tmp / "oci.tar"),
                &out),
            0)
      << out;
  for (const char* file : {"multi.tar.gz", "multi.tar.zst", "oci.tar", "oci.tar.gz"}) {
    auto got = store->import(tmp / file);
    ASSERT_TRUE(got) << file << ": " << got.error().text();
    EXPECT_EQ(got->front().id, want->front().id) << file;
    EXPECT_EQ(got->front().size_bytes, want->front().size_bytes) << file;
  }
  EXPECT_EQ(store->list().size(), 1u);
}

TEST(Import, AnIndexGivesTheHostsImage) {
  TempDir tmp;
  add_image(tmp / "l", {.layers = {layer("foreign")}, .architecture = "s390x"});
  add_image(tmp / "l", {.layers = {layer("ours")}});
  json::Value index = json::parse(read_text(tmp / "l/index.json")).value();
  json::Value entries = json::Value::array();
  const char* arch[] = {"s390x", nullptr};
  for (int i = 0; i < 2; i++) {
    json::Value d = index.find("manifests")->as_array()[static_cast<std::size_t>(i)];
    d.set(
        "platform",
        json::Value::object().set("os", "linux").set("architecture", arch[i] ? arch[i] : host_platform().architecture));
    entries.push(std::move(d));
  }
  std::string list = json::dump(json::Value::object().set("schemaVersion", 2).set("manifests", std::move(entries)));
  write_text(blob_path(tmp / "l", list), list);
  json::Value top = json::Value::object().set("digest", Digest::of(list).text()).set("size", list.size());
  top.set("annotations", json::Value::object().set("io.containerd.image.name", "podshim.dev/many:1"));
  write_text(tmp / "l/index.json",
             json::dump(json::Value::object().set("manifests", json::Value::array().push(std::move(top)))));
  Store store = open_store(tmp / "images");
  auto got = store->import(tmp / "l");
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->front().layers, std::vector<std::string>{Digest::of(layer("ours")).text()});
  EXPECT_EQ(got->front().repo_digests, std::vector<std::string>{"podshim.dev/many@" + Digest::of(list).text()})
      << "of the index";
  auto before = store->list();
  store.reset();
  ::unlink((tmp / "images/images.db").c_str());
  EXPECT_EQ(open_store(tmp / "images")->list(), before) << "rebuilt";
}

TEST(Store, AnswersAreTheSameAfterARestartAndARebuild) {
  TempDir tmp;
  std::string images = images_dir();
  std::vector<Image> before;
  {
    Store store = open_store(tmp / "images");
    for (const char* file : {"/multi.tar", "/busybox.tar", "/probe.oci", "/multi-zstd.oci", "/users.tar"}) {
      auto got = store->import(images + file);
      ASSERT_TRUE(got) << got.error().text();
    }
    before = store->list();
    EXPECT_EQ(before.size(), 5u);
  }
  EXPECT_EQ(open_store(tmp / "images")->list(), before) << "restart";

  ::unlink((tmp / "images/images.db").c_str());
  EXPECT_EQ(open_store(tmp / "images")->list(), before) << "no database";
  EXPECT_EQ(open_store(tmp / "images")->list(), before) << "and again";

  write_text(tmp / "images/images.db", std::string(8192, 'x'));
  std::vector<std::string> quarantined;
  EXPECT_EQ(open_store(tmp / "images", &quarantined)->list(), before) << "a damaged database";
  ASSERT_EQ(quarantined.size(), 1u);
  EXPECT_NE(quarantined[0].find("not a database"), std::string::npos) << quarantined[0];
  EXPECT_TRUE(sys::exists(tmp / "images/images.db.damaged"));

  // Without index.json too: the images are there, the names are lost.
  ::unlink((tmp / "images/images.db").c_str());
  ::unlink((tmp / "images/index.json").c_str());
  auto nameless = open_store(tmp / "images")->list();
  ASSERT_EQ(nameless.size(), before.size());
  for (std::size_t i = 0; i < before.size(); i++) {
    EXPECT_EQ(nameless[i].id, before[i].id);
    EXPECT_EQ(nameless[i].layers, before[i].layers);
    EXPECT_TRUE(nameless[i].repo_tags.empty());
  }
}

TEST(Store, TheIndexFollowsTheRecordsAfterAStart) {
  TempDir tmp;
  std::string index;
  {
    Store store = open_store(tmp / "images");
    ASSERT_TRUE(store->import(images_dir() + "/multi.tar"));
    index = read_text(tmp / "images/index.json");
    EXPECT_NE(index.find("podshim.dev/multi:1"), std::string::npos) << index;
  }
  write_text(tmp / "images/index.json", R"({"manifests":[]})");  // a kill came between the record and the name
  Store store = open_store(tmp / "images");
  EXPECT_EQ(read_text(tmp / "images/index.json"), index);
}

TEST(Store, ARebuildUnpacksLostLayersFromTheirBlobs) {
  TempDir tmp;
  std::vector<Image> before;
  std::map<std::string, std::string> tree;
  ASSERT_EQ(::mkdir((tmp / "c").c_str(), 0700), 0);
  {
    Store store = open_store(tmp / "images");
    ASSERT_TRUE(store->import(images_dir() + "/multi.oci"));
    before = store->list();
    tree = read_tree(fd_path(store->mount_readonly(before[0], tmp / "c").value()));
  }
  ASSERT_TRUE(sys::remove_tree(tmp / "images/layers"));
  ::unlink((tmp / "images/images.db").c_str());
  Store store = open_store(tmp / "images");
  EXPECT_EQ(store->list(), before);
  EXPECT_EQ(difference(tree, read_tree(fd_path(store->mount_readonly(before[0], tmp / "c").value()))), "");
}

TEST(Store, ADamagedImageIsSetAsideAloneAndHealedByAnImport) {
  struct Case {
    const char* name;
    std::function<void(const std::string& images, const Image&)> damage;
  };
  auto key = [](const Image& image) { return Digest::parse(image.layers[0])->hex().substr(0, 16); };
  const Case cases[] = {
      {"no marker",
       [&](const std::string& d, const Image& i) { ::unlink((d + "/layers/" + key(i) + "/layer.json").c_str()); }},
      {"a cut marker",
       [&](const std::string& d, const Image& i) { write_text(d + "/layers/" + key(i) + "/layer.json", "{\"ch"); }},
      {"no layer",
       [&](const std::string& d, const Image& i) { ASSERT_TRUE(sys::remove_tree(d + "/layers/" + key(i))); }},
      {"no config",
       [](const std::string& d, const Image& i) { ::unlink((d + "/blobs/sha256/" + i.id.substr(7)).c_str()); }},
      {"an empty config",
       [](const std::string& d, const Image& i) { write_text(d + "/blobs/sha256/" + i.id.substr(7), ""); }},
      {"a broken record",
       [](const std::string& d, const Image& i) {
         std::string out;
         EXPECT_EQ(run("sqlite3 " + d + "/images.db \"UPDATE images SET record='{' WHERE id='" + i.id + "'\"", &out), 0)
             << out;
       }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    TempDir tmp;
    add_image(tmp / "good", {.name = "good:1", .layers = {layer("good")}, .seed = "good"});
    add_image(tmp / "bad", {.name = "bad:1", .layers = {layer("bad")}, .seed = "bad"});
    Store store = open_store(tmp / "images");
    ASSERT_TRUE(store->import(tmp / "good") && store->import(tmp / "bad"));
    auto whole = store->list();
    Image bad = store->find("bad:1").value();
    store.reset();
    c.damage(tmp / "images", bad);
    for (int start = 0; start < 2; start++) {
      std::vector<std::string> quarantined;
      store = open_store(tmp / "images", &quarantined);
      ASSERT_EQ(quarantined.size(), 1u) << "at every start";
      EXPECT_NE(quarantined[0].find(bad.id), std::string::npos) << quarantined[0];
      ASSERT_EQ(store->list().size(), 1u);
      EXPECT_TRUE(store->find("good:1"));
      EXPECT_FALSE(store->find("bad:1"));
    }
    auto healed = store->import(tmp / "bad");
    ASSERT_TRUE(healed) << healed.error().text();
    EXPECT_EQ(store->list(), whole);
    store.reset();
    EXPECT_EQ(open_store(tmp / "images")->list(), whole);
  }
}

TEST(Store, RemovalTakesWhatNobodyElseHas) {
  TempDir tmp;
  Store store = open_store(tmp / "images");
  std::string images = images_dir();
  ASSERT_TRUE(store->import(images + "/busybox.oci") && store->import(images + "/probe.oci"));
  Image busybox = store->find("podshim.dev/busybox:1").value();
  auto all = store->usage().value();
  ASSERT_TRUE(store->remove("podshim.dev/probe:1"));
  EXPECT_FALSE(store->find("podshim.dev/probe:1"));
  store->wait_for_trash();
  EXPECT_EQ(files_in(tmp / "images/layers").size(), 2u) << "the shared layer, and empty";
  EXPECT_LT(store->usage()->used_bytes, all.used_bytes);
  ASSERT_TRUE(store->remove(busybox.id));
  ASSERT_TRUE(store->remove(busybox.id)) << "twice is once";
  ASSERT_TRUE(store->remove("sha256:" + std::string(64, '0')));
  store->wait_for_trash();
  EXPECT_EQ(files_in(tmp / "images/layers"), std::vector<std::string>{"empty"});
  EXPECT_TRUE(files_in(tmp / "images/blobs/sha256").empty());
  EXPECT_EQ(store->usage()->used_bytes, 0u);
  store.reset();
  EXPECT_TRUE(open_store(tmp / "images")->list().empty());
}

TEST(Store, LayersInUseStayUntilTheContainerIsGone) {
  TempDir tmp;
  Store store = open_store(tmp / "images");
  ASSERT_TRUE(store->import(images_dir() + "/busybox.oci"));
  Image image = store->find("podshim.dev/busybox:1").value();
  ASSERT_EQ(::mkdir((tmp / "c").c_str(), 0700), 0);
  auto root = store->mount_rootfs(image, tmp / "c");
  ASSERT_TRUE(root);
  ASSERT_TRUE(store->remove(image.id));
  EXPECT_TRUE(store->list().empty());
  for (int start = 0; start < 2; start++) {
    store->wait_for_trash();
    EXPECT_FALSE(read_text(fd_path(*root) + "/bin/busybox").empty()) << "the container still has its files";
    store.reset();  // a restart of the daemon does not forget
    store = open_store(tmp / "images");
  }
  ASSERT_FALSE(store->mount_rootfs(image, tmp / "c")) << "a removed image";
  root->reset();
  ASSERT_TRUE(sys::remove_tree(tmp / "c"));
  store.reset();
  store = open_store(tmp / "images");
  store->wait_for_trash();
  EXPECT_EQ(files_in(tmp / "images/layers"), std::vector<std::string>{"empty"});
  EXPECT_TRUE(files_in(tmp / "images/uses").empty());
}

TEST(Store, ManyAtOnceAgree) {
  TempDir tmp;
  Store store = open_store(tmp / "images");
  std::string images = images_dir();
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; i++) {
    threads.emplace_back([&, i] {
      const char* file = i % 3 == 0 ? "/multi.oci" : i % 3 == 1 ? "/multi.tar" : "/probe.tar";
      auto got = store->import(images + file);
      EXPECT_TRUE(got) << got.error().text();
    });
  }
  for (auto& t : threads) t.join();
  threads.clear();
  EXPECT_EQ(store->list().size(), 2u);
  EXPECT_EQ(files_in(tmp / "images/layers").size(), 6u) << "four of multi, one more of probe, empty";
  std::string id = store->find("podshim.dev/multi:1")->id;
  for (int i = 0; i < 5; i++) {
    threads.emplace_back([&] {
      EXPECT_TRUE(store->remove(id));
      EXPECT_FALSE(store->find(id)) << "after each return";
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(store->list().size(), 1u);
}

// On a full disk what fills it can go. In a mount namespace of a child's own, on an ext4 file system in a file.
TEST(Store, RemovesOnAFullDisk) {
  TempDir tmp;
  std::string out, disk = tmp / "disk", mount = tmp / "mnt";
  ASSERT_EQ(::mkdir(mount.c_str(), 0755), 0);
  ASSERT_EQ(run("truncate -s 32M " + disk + " && mke2fs -q -t ext4 -m 0 " + disk, &out), 0) << out;
  std::string images = images_dir();
  pid_t child = ::fork();
  if (child == 0) {
    auto check = [](bool ok, const std::string& what) {
      if (ok) return;
      std::fprintf(stderr, "full disk: %s\n", what.c_str());
      ::_exit(1);
    };
    std::string text;
    check(::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "unshare");
    check(run("mount -o loop " + disk + " " + mount, &text) == 0, text);
    {
      auto store = DiskImageStore::open(mount + "/images", host_facts(), {}, nullptr);
      check(store.has_value(), "open");
      auto got = (*store)->import(images + "/multi.tar");
      check(got.has_value(), got ? "" : got.error().text());
      run("cat /dev/zero > " + mount + "/filler; dd if=/dev/zero of=" + mount + "/filler2 bs=1 count=65536", &text);
      auto more = (*store)->import(images + "/probe.tar");
      check(!more && more.error().is(ENOSPC), more ? "imported" : more.error().text());
      auto removed = (*store)->remove("podshim.dev/multi:1");
      check(removed.has_value(), removed ? "" : removed.error().text());
      (*store)->wait_for_trash();
      check((*store)->list().empty(), "still listed");
      got = (*store)->import(images + "/busybox.tar");
      check(got.has_value(), got ? "" : "import after removal: " + got.error().text());
    }
    auto store = DiskImageStore::open(mount + "/images", host_facts(), {}, nullptr);
    check(store.has_value() && (*store)->list().size() == 1, "reopen");
    store->reset();
    check(run("umount " + mount, &text) == 0, text);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace podshim::image::test
