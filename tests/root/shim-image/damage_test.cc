// What of the store is lost or damaged, told and healed: the database, single layers below and above whole ones, layers
// that containers use, and a start that cannot read what is there.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <random>
#include <thread>

#include "pull_fixture.h"
#include "tests/support/few_descriptors.h"
#include "tests/support/long_run.h"

namespace podshim::image::test {
namespace {

constexpr std::size_t kLayers = 4;

std::vector<std::string> names_in(const std::string& dir) { return sys::list_dir(dir).value(); }

class Damage : public Pull {
 protected:
  void SetUp() override {
    podshim::test::ignore_proxies();
    // What an upper layer only implies has the attributes that a lower one gave it.
    std::vector<std::string> layers = {make_tar({{.path = "d", .type = S_IFDIR, .mode = 0711, .uid = 7}})};
    for (std::size_t i = 1; i < kLayers; i++)
      layers.push_back(make_tar({{.path = "d/f" + std::to_string(i), .data = noise(9000, static_cast<unsigned>(i))},
                                 {.path = "top", .data = std::to_string(i)}}));
    add_image(tmp / "l", {.name = "x:t", .layers = layers});
    registry = std::make_unique<TestRegistry>(tmp / "l");
    ASSERT_TRUE(sys::make_dir(tmp / "look"));
  }

  Result<Image> pull(Store& store, const std::string& name = "e.com/x:t") { return store->pull({.reference = name}); }
  static std::vector<std::string> keys(const Image& image) {
    std::vector<std::string> out;
    Digest chain;
    for (const auto& diff_id : image.layers)
      out.push_back((chain = chain_id(chain, Digest::parse(diff_id).value())).hex().substr(0, 16));
    return out;
  }
  std::string layer_dir(const Image& image, std::size_t i) const { return tmp / ("images/layers/" + keys(image)[i]); }
  // Of a look that leaves nothing in use.
  std::map<std::string, std::string> tree(Store& store, const Image& image) {
    auto mount = store->mount_readonly(image, tmp / "look");
    EXPECT_TRUE(mount) << mount.error().text();
    auto out = mount ? read_tree(fd_path(*mount)) : std::map<std::string, std::string>();
    mount = Fd();
    EXPECT_TRUE(sys::remove_tree(tmp / "images/uses") && sys::make_dir(tmp / "images/uses", 0700));
    return out;
  }
  void expect_empty(Store& store) {
    store->wait_for_trash();
    EXPECT_EQ(names_in(tmp / "images/layers"), std::vector<std::string>{"empty"});
    EXPECT_EQ(names_in(tmp / "images/blobs/sha256"), std::vector<std::string>{});
    EXPECT_EQ(names_in(tmp / "images/uses"), std::vector<std::string>{});
  }
};

struct Hurt {
  const char* name;
  std::function<void(const std::string& layer)> make;
};
const Hurt kHurts[] = {
    {"no marker", [](const std::string& d) { ASSERT_EQ(::unlink((d + "/layer.json").c_str()), 0); }},
    {"a cut marker", [](const std::string& d) { write_text(d + "/layer.json", "{\"ch"); }},
    {"no directory", [](const std::string& d) { ASSERT_TRUE(sys::remove_tree(d)); }},
};

TEST_F(Damage, ADatabaseWithoutItsRecordsIsRebuilt) {
  const std::string db = tmp / "images/images.db";
  auto sqlite = [&](const std::string& sql) {
    std::string out;
    EXPECT_EQ(run("sqlite3 " + db + " \"" + sql + "\"", &out), 0) << out;
  };
  const std::pair<const char*, std::function<void()>> cases[] = {
      {"empty", [&] { write_text(db, ""); }},
      {"empty, with a journal",
       [&] {
         write_text(db, "");
         write_text(db + "-journal", "journal");
       }},
      {"without the table", [&] { sqlite("DROP TABLE images; VACUUM"); }},
      {"with another table", [&] { sqlite("ALTER TABLE images RENAME COLUMN record TO text"); }},
      {"cut in its first page", [&] { ASSERT_EQ(::truncate(db.c_str(), 1000), 0); }},
      {"cut after its first page", [&] { ASSERT_EQ(::truncate(db.c_str(), 4096), 0); }},
  };
  Store store = open();
  ASSERT_TRUE(pull(store));
  add_image(tmp / "other", {.name = "other:1", .layers = {layer("other")}});
  ASSERT_TRUE(store->import(tmp / "other"));
  const auto before = store->list();
  ASSERT_EQ(before.size(), 2u);
  for (const auto& [name, hurt] : cases) {
    SCOPED_TRACE(name);
    write_text(tmp / "images/layers/" + keys(before[0])[0] + "/stays", "");
    store.reset();
    (void)sys::remove_file(db + ".damaged");
    hurt();
    const std::string left = read_text(db);
    store = open();
    EXPECT_EQ(store->list(), before);
    ASSERT_EQ(quarantined.size(), 1u) << "it is told";
    EXPECT_NE(quarantined[0].find(db + ".damaged"), std::string::npos) << quarantined[0];
    EXPECT_EQ(read_text(db + ".damaged"), left) << "and kept";
    EXPECT_TRUE(sys::exists(tmp / "images/layers/" + keys(before[0])[0] + "/stays")) << "layers are not made anew";
    store.reset();
    store = open();
    EXPECT_EQ(quarantined, std::vector<std::string>{});
    EXPECT_EQ(store->list(), before);
  }
}

// SQLite plays what it finds beside a database into it, also into a new one.
TEST_F(Damage, TheLogOfALostDatabaseIsNotPlayedIntoTheNewOne) {
  const std::string db = tmp / "images/images.db";
  Store store = open();
  ASSERT_TRUE(pull(store));
  const auto before = store->list();
  store.reset();
  std::string out;
  ASSERT_EQ(run("sqlite3 " + db + " \"PRAGMA journal_mode=wal; DELETE FROM images;\" \".shell cp " + db + "-wal " +
                    (tmp / "wal") + "\" && mv " + (tmp / "wal") + " " + db + "-wal && rm " + db,
                &out),
            0)
      << out;
  ASSERT_GT(read_text(db + "-wal").size(), 4096u);
  for (int start = 0; start < 2; start++) {
    store = open();
    EXPECT_EQ(store->list(), before);
    store.reset();
  }
}

// Killed at any moment of a rebuild, the next start has all images with their names.
TEST_F(Damage, ARebuildThatIsKilledBeginsAnew) {
  Store store = open();
  for (int i = 0; i < 8; i++) {
    const std::string n = std::to_string(i);
    add_image(tmp / n, {.name = "image" + n + ":1", .layers = {layer(n)}, .seed = n});
    ASSERT_TRUE(store->import(tmp / n));
  }
  const auto before = store->list();
  ASSERT_EQ(before.size(), 8u);
  const auto lose_database = [&] {
    store.reset();
    ASSERT_EQ(::unlink((tmp / "images/images.db").c_str()), 0);
  };
  auto rebuild = std::chrono::microseconds::max();  // how long it takes here, undisturbed
  for (int i = 0; i < 3; i++) {
    lose_database();
    const auto start = std::chrono::steady_clock::now();
    store = open();
    rebuild = std::min(rebuild, std::chrono::ceil<std::chrono::microseconds>(std::chrono::steady_clock::now() - start));
  }
  std::mt19937 random(std::random_device{}());
  const int rounds = podshim::test::long_run() ? 200 : 20;
  int early = 0;
  for (int round = 0; round < rounds; round++) {
    lose_database();
    const auto delay = random() % (rebuild.count() * 3 / 2);
    SCOPED_TRACE("killed after " + std::to_string(delay) + " us");
    const pid_t child = ::fork();
    if (child == 0) {
      auto again = DiskImageStore::open(tmp / "images", host_facts(), {}, nullptr);
      for (;;) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(delay));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    if (!sys::exists(tmp / "images/images.db")) early++;
    store = open();
    ASSERT_EQ(store->list(), before);
    ASSERT_EQ(quarantined, std::vector<std::string>{});
    EXPECT_FALSE(sys::exists(tmp / "images/images.db.new"));
  }
  EXPECT_GT(early, 0) << "no kill came before the database: nothing was tested";
}

TEST_F(Damage, AnyLayerIsHealedByAPullAndByAnImport) {
  std::string out;
  ASSERT_EQ(run("tar -cf " + (tmp / "l.oci") + " -C " + (tmp / "l") + " .", &out), 0) << out;
  using Heal = std::function<Result<>(Store&)>;
  auto import = [](const std::string& path) {
    return [path](Store& store) -> Result<> {
      TRY(store->import(path));
      return {};
    };
  };
  const std::pair<const char*, Heal> heals[] = {
      {"pull",
       [&](Store& store) -> Result<> {
         TRY(pull(store));
         return {};
       }},
      {"import of a directory", import(tmp / "l")},
      {"import of an archive", import(tmp / "l.oci")},
  };
  Store store = open();
  ASSERT_TRUE(store->import(tmp / "l"));
  const auto image = pull(store);
  ASSERT_TRUE(image) << image.error().text();
  ASSERT_EQ(image->repo_tags.size(), 2u);
  const auto whole = store->list();
  const auto files = tree(store, *image);
  for (std::size_t i = 0; i < kLayers; i++) {
    for (const auto& hurt : kHurts) {
      for (const auto& [how, heal] : heals) {
        SCOPED_TRACE("layer " + std::to_string(i) + ", " + hurt.name + ", " + how);
        store.reset();
        hurt.make(layer_dir(*image, i));
        store = open();
        ASSERT_EQ(quarantined.size(), 1u);
        for (const auto& part : {image->id, std::string("e.com/x:t"), layer_dir(*image, i), std::string("damaged")})
          EXPECT_NE(quarantined[0].find(part), std::string::npos) << part << " in " << quarantined[0];
        ASSERT_FALSE(store->find(image->id));
        const auto healed = heal(store);
        ASSERT_TRUE(healed) << healed.error().text();
        EXPECT_EQ(store->list(), whole) << "with the name that the other way gave it";
        EXPECT_EQ(difference(files, tree(store, *image)), "");
        store.reset();
        store = open();
        EXPECT_EQ(quarantined, std::vector<std::string>{});
        EXPECT_EQ(store->list(), whole);
      }
    }
  }
}

TEST_F(Damage, ADamagedImageOutlivesItsDatabase) {
  Store store = open();
  const auto image = pull(store);
  ASSERT_TRUE(image);
  const auto whole = store->list();
  const auto files = tree(store, *image);
  store.reset();
  kHurts[1].make(layer_dir(*image, 1));
  store = open();
  ASSERT_EQ(quarantined.size(), 1u);
  store.reset();
  ASSERT_EQ(::unlink((tmp / "images/images.db").c_str()), 0);
  store = open();
  EXPECT_EQ(quarantined, std::vector<std::string>{});
  EXPECT_EQ(store->list(), whole) << "made anew from its blobs";
  EXPECT_EQ(difference(files, tree(store, *image)), "");
}

TEST_F(Damage, ADamagedImageCanBeRemoved) {
  for (std::size_t i = 0; i < kLayers; i++) {
    for (const bool by_id : {false, true}) {
      SCOPED_TRACE("layer " + std::to_string(i) + (by_id ? ", by id" : ", by tag"));
      Store store = open();
      const auto image = pull(store);
      ASSERT_TRUE(image) << image.error().text();
      store.reset();
      kHurts[1].make(layer_dir(*image, i));
      store = open();
      ASSERT_EQ(quarantined.size(), 1u);
      ASSERT_TRUE(store->remove(by_id ? image->id : "e.com/x:t"));
      expect_empty(store);
      store.reset();
      store = open();
      EXPECT_EQ(quarantined, std::vector<std::string>{}) << "not told any more";
    }
  }
}

TEST_F(Damage, ARecordThatCannotBeReadCanBeRemoved) {
  Store store = open();
  const auto image = pull(store);
  ASSERT_TRUE(image);
  store.reset();
  std::string out;
  ASSERT_EQ(run("sqlite3 " + (tmp / "images/images.db") + " \"UPDATE images SET record='{'\"", &out), 0) << out;
  store = open();
  ASSERT_EQ(quarantined.size(), 1u);
  ASSERT_TRUE(store->remove(image->id));
  store.reset();
  store = open();
  EXPECT_EQ(quarantined, std::vector<std::string>{});
  expect_empty(store);
}

// A tag that another image got meanwhile stays with that one when the damaged image is whole again.
TEST_F(Damage, AHealedImageTakesNoTagBack) {
  Store store = open();
  const auto old = pull(store);
  ASSERT_TRUE(old);
  store.reset();
  kHurts[2].make(layer_dir(*old, 1));
  TempDir other;
  add_image(other / "l", {.name = "x:t", .layers = {layer("new")}});
  auto first = std::exchange(registry, std::make_unique<TestRegistry>(other / "l"));
  store = open();
  const auto moved = pull(store);
  ASSERT_TRUE(moved) << moved.error().text();
  ASSERT_NE(moved->id, old->id);
  store.reset();
  registry = std::move(first);
  store = open();
  ASSERT_EQ(quarantined.size(), 1u);
  const std::string digest = old->repo_digests.at(0);
  ASSERT_TRUE(pull(store, digest));
  EXPECT_EQ(store->find("e.com/x:t")->id, moved->id);
  EXPECT_EQ(store->find(digest)->id, old->id);
  EXPECT_EQ(store->find(digest)->repo_tags, std::vector<std::string>{});
}

TEST_F(Damage, AContainerKeepsItsFilesWhateverBecomesOfItsLayers) {
  const bool removals[] = {false, true};
  for (std::size_t i = 0; i < kLayers; i++) {
    for (const Hurt& hurt : {kHurts[0], kHurts[1]}) {
      for (const bool removed : removals) {
        SCOPED_TRACE("layer " + std::to_string(i) + ", " + hurt.name + (removed ? ", image removed" : ""));
        const std::string container = tmp / "c", later = tmp / "c2";
        ASSERT_TRUE(sys::make_dir(container) && sys::make_dir(later));
        Store store = open();
        const auto image = pull(store);
        ASSERT_TRUE(image) << image.error().text();
        auto root = store->mount_rootfs(*image, container);
        ASSERT_TRUE(root) << root.error().text();
        auto files = [&] { return read_tree(fd_path(*root)); };
        const auto want = files();
        ASSERT_EQ(want.size(), kLayers + 2);
        if (removed) {
          ASSERT_TRUE(store->remove(image->id));
        }
        store.reset();
        hurt.make(layer_dir(*image, i));
        for (int start = 0; start < 2; start++) {
          store = open();
          EXPECT_EQ(quarantined.size(), removed ? 0u : 1u);
          store->wait_for_trash();
          EXPECT_EQ(difference(want, files()), "");
          store.reset();
        }
        store = open();
        EXPECT_FALSE(store->mount_rootfs(*image, later)) << "no new container gets a damaged layer";
        const auto healed = pull(store);
        ASSERT_TRUE(healed) << healed.error().text();
        auto second = store->mount_rootfs(*healed, later);
        ASSERT_TRUE(second) << second.error().text();
        EXPECT_EQ(difference(want, read_tree(fd_path(*second))), "") << "the new layer lies beside the old one";
        EXPECT_EQ(difference(want, files()), "");
        ASSERT_TRUE(store->remove(image->id));
        store->wait_for_trash();
        EXPECT_EQ(difference(want, files()), "");
        EXPECT_EQ(names_in(tmp / "images/layers").size(), kLayers + 2) << "the old one too";

        // The first container goes: what was set aside for it does too, the second's layers stay.
        *root = Fd();
        ASSERT_TRUE(sys::remove_tree(container));
        store.reset();
        store = open();
        store->wait_for_trash();
        EXPECT_EQ(names_in(tmp / "images/layers").size(), kLayers + 1);
        EXPECT_EQ(difference(want, read_tree(fd_path(*second))), "");
        *second = Fd();
        ASSERT_TRUE(sys::remove_tree(later));
        store.reset();
        store = open();
        expect_empty(store);
      }
    }
  }
}

// A marker that cannot be read now is not a bad one: nothing goes, and the next start finds the layer.
TEST_F(Damage, AMarkerThatCannotBeReadIsNotABadOne) {
  Store store = open();
  const auto image = pull(store);
  ASSERT_TRUE(image);
  const auto whole = store->list();
  const std::string marker = layer_dir(*image, 1) + "/layer.json", text = read_text(marker);
  auto break_it = [&] {
    store.reset();
    ASSERT_EQ(::unlink(marker.c_str()), 0);
    ASSERT_EQ(::symlink("/proc/self/mem", marker.c_str()), 0);  // EIO at its begin
    store = open();
    ASSERT_EQ(quarantined.size(), 1u);
    EXPECT_NE(quarantined[0].find("could not be read"), std::string::npos) << quarantined[0];
  };
  break_it();
  const std::string blob = "/blobs/sha256/" + Digest::parse(image->layers[1])->hex(), here = tmp / "l" + blob;
  ASSERT_EQ(::rename(here.c_str(), (here + ".away").c_str()), 0);
  ASSERT_EQ(::unlink((tmp / "images" + blob).c_str()), 0);
  EXPECT_FALSE(pull(store)) << "a failed pull takes nothing away either";
  ASSERT_EQ(::rename((here + ".away").c_str(), here.c_str()), 0);
  store.reset();
  ASSERT_EQ(::unlink(marker.c_str()), 0);
  write_text(marker, text);
  store = open();
  EXPECT_EQ(quarantined, std::vector<std::string>{});
  EXPECT_EQ(store->list(), whole);

  break_it();
  ASSERT_TRUE(store->import(tmp / "l")) << "made anew";
  EXPECT_EQ(store->list().size(), 1u);
  break_it();
  ASSERT_TRUE(store->remove(image->id));
  expect_empty(store);
}

#ifndef PODSHIM_SANITIZED
// Not with sanitizers: UBSan looks at an object through a pipe of its own, and there is none to be had then.
// Whatever it is that a start has no descriptor for: it fails, or finds all that is here.
TEST_F(Damage, AStartWithoutDescriptorsLosesNothing) {
  Store store = open();
  const auto image = pull(store);
  ASSERT_TRUE(image);
  const auto whole = store->list();
  const bool databases[] = {true, false};
  for (const bool database : databases) {
    int failed = 0, started = 0;
    for (unsigned more = 0; more < 16; more++) {
      store.reset();
      if (!database) {
        ASSERT_TRUE(sys::remove_file(tmp / "images/images.db"));
      }
      std::vector<std::string> told;
      auto few = std::make_optional<podshim::test::FewDescriptors>(more);
      auto opened = DiskImageStore::open(tmp / "images", host_facts(), {}, &told);
      few.reset();
      SCOPED_TRACE(std::to_string(more) + " descriptors, " + (database ? "with" : "without") + " a database");
      if (opened) {
        started++;
        EXPECT_EQ((*opened)->list(), whole);
        EXPECT_EQ(told, std::vector<std::string>{});
        opened->reset();
      } else {
        failed++;
        EXPECT_TRUE(opened.error().is(EMFILE)) << opened.error().text();
      }
      store = open();
      ASSERT_EQ(store->list(), whole);
      ASSERT_EQ(quarantined, std::vector<std::string>{});
    }
    EXPECT_GT(failed, 0);
    EXPECT_GT(started, 0);
  }
}
#endif

}  // namespace
}  // namespace podshim::image::test
