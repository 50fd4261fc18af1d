// Pulls: what is asked for and how often, platforms, mirrors, pulls that meet, progress.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "pull_fixture.h"

namespace podshim::image::test {
namespace {

// One unit, whoever counts: the pull as it goes, or the collection at the start.
TEST_F(Pull, IsCountedInTheUsage) {
  auto store = open();
  ASSERT_EQ(store->usage()->used_bytes, 0u);
  ASSERT_TRUE(store->pull({.reference = "example.com/x:t"}));
  const FsUsage pulled = store->usage().value();
  EXPECT_GT(pulled.used_bytes, 6'000'000u) << "the layer and its blob";
  store.reset();
  store = open();
  EXPECT_EQ(store->usage()->inodes_used, pulled.inodes_used);
  EXPECT_NEAR(static_cast<double>(store->usage()->used_bytes), static_cast<double>(pulled.used_bytes), 64e3)
      << "a file system may round its blocks otherwise once they are on the disk";
}

TEST_F(Pull, ByTagDigestAndId) {
  auto store = open();
  auto got = store->pull({.reference = "example.com/x:t"});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->repo_tags, std::vector<std::string>{"example.com/x:t"});
  EXPECT_EQ(got->repo_digests, std::vector<std::string>{"example.com/x@" + manifest_digest()});
  EXPECT_EQ(got->layers.size(), 3u);
  EXPECT_EQ(store->find("example.com/x:t"), *got);
  EXPECT_EQ(blobs(), 4u) << "three layers and the config";
  EXPECT_EQ(registry->asked().front().query, "ns=example.com");
  registry->forget();

  auto again = store->pull({.reference = "example.com/x:t"});
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again, *got);
  EXPECT_EQ(registry->asked().size(), 1u) << "the tag is resolved, and nothing is fetched";
  EXPECT_EQ(registry->asked().at(0).method, "HEAD");

  auto by_digest = store->pull({.reference = "other.example.com/y@" + manifest_digest()});
  ASSERT_TRUE(by_digest) << by_digest.error().text();
  EXPECT_EQ(by_digest->id, got->id);
  EXPECT_EQ(by_digest->repo_tags, got->repo_tags);
  EXPECT_EQ(by_digest->repo_digests.size(), 2u);
  EXPECT_EQ(blobs(), 0u);

  registry->forget();
  EXPECT_EQ(store->pull({.reference = got->id}).value(), *by_digest);
  EXPECT_TRUE(registry->asked().empty());
  auto unknown = store->pull({.reference = "sha256:" + std::string(64, '0')});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
  EXPECT_EQ(sys::list_dir(tmp / "images/ingest").value(), std::vector<std::string>{});
}

TEST_F(Pull, ATagThatMovedIsPulledAgain) {
  auto store = open();
  auto before = store->pull({.reference = "e.com/x:t"});
  ASSERT_TRUE(before);
  TempDir other;
  add_image(other / "l", {.name = "x:t", .layers = {layer("a"), layer("new")}});
  registry = std::make_unique<TestRegistry>(other / "l");
  store.reset();
  store = open();
  auto after = store->pull({.reference = "e.com/x:t"});
  ASSERT_TRUE(after) << after.error().text();
  EXPECT_NE(after->id, before->id);
  EXPECT_TRUE(store->find(before->id)->repo_tags.empty());
  EXPECT_EQ(blobs(), 2u) << "the layer that both have is here";
}

TEST_F(Pull, TheNodesPlatform) {
  std::string here = host_platform().architecture;
  auto index = [&](const std::vector<std::string>& architectures) {
    TempDir& t = tmp;
    ::unlink((t / "l/index.json").c_str());
    json::Value manifests = json::Value::array();
    for (const auto& a : architectures) {
      add_image(t / "l", {.name = a, .layers = {layer("of-" + a)}, .architecture = a});
      json::Value d = json::parse(read_text(t / "l/index.json"))->find("manifests")->as_array().back();
      d.set("platform", json::Value::object().set("os", "linux").set("architecture", a));
      manifests.push(d);
    }
    std::string text = json::dump(json::Value::object().set("schemaVersion", 2).set("manifests", manifests));
    write_text(blob_path(t / "l", text), text);
    json::Value top = json::Value::object().set("digest", Digest::of(text).text()).set("size", text.size());
    top.set("annotations", json::Value::object().set("org.opencontainers.image.ref.name", "x:multi"));
    write_text(t / "l/index.json", json::dump(json::Value::object().set("manifests", json::Value::array().push(top))));
    return Digest::of(text).text();
  };
  auto store = open(own());
  std::string other = here == "s390x" ? "amd64" : "s390x";
  index({other, "riscv64"});
  expect_failure(*store, name(":multi"), ErrorKind::not_found, "linux/" + other + ", linux/riscv64");
  std::string digest = index({other, here});
  auto got = store->pull({.reference = name(":multi")});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->repo_digests, std::vector<std::string>{name("@") + digest}) << "of the index";
  EXPECT_EQ(got->layers.at(0), Digest::of(layer("of-" + here)).text());
}

TEST_F(Pull, TwoAtOnceFetchOnce) {
  registry->twist([](const Asked& asked, Answer& answer) {
    if (asked.is_blob()) answer.pause_ms = 20, answer.piece = 500'000;
  });
  auto store = open();
  std::vector<std::thread> threads;
  std::vector<Result<Image>> got(8);
  for (std::size_t i = 0; i < got.size(); i++)  // the same, the same with other credentials, another name of it
    threads.emplace_back([&, i] {
      got[i] = store->pull({.reference = i < 4   ? "e.com/x:t"
                                         : i < 6 ? "e.com/x:t"
                                                 : "f.com/y:t",
                            .auth = i < 4 ? RegistryAuth{} : RegistryAuth{.username = "u", .password = "p"}});
    });
  for (auto& t : threads) t.join();
  for (const auto& g : got) ASSERT_TRUE(g) << g.error().text();
  EXPECT_EQ(store->list().size(), 1u);
  EXPECT_EQ(store->list().at(0).repo_tags, (std::vector<std::string>{"e.com/x:t", "f.com/y:t"}));
  EXPECT_EQ(
      registry->count([](const Asked& a) { return a.is_blob() && a.method == "GET" && a.target.size() > 0; }) <= 6,
      true)
      << "layers once each; the config may be read by each of the three pulls: " << blobs();
  EXPECT_EQ(registry->count([](const Asked& a) { return a.method == "HEAD"; }), 3u);
}

TEST_F(Pull, AFailedPullDoesNotFailTheOther) {
  std::atomic<int> refused = 0;
  registry->twist([&](const Asked& asked, Answer& answer) {
    answer.pause_ms = 30;
    if (asked.is_blob() && asked.query == "ns=e.com" && refused++ < 100) answer.status = 403, answer.body = "no";
  });
  auto store = open();
  Result<Image> bad, good;
  std::thread first([&] { bad = store->pull({.reference = "e.com/x:t"}); });
  std::thread second([&] { good = store->pull({.reference = "f.com/x:t"}); });
  first.join();
  second.join();
  EXPECT_FALSE(bad);
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_EQ(store->list().size(), 1u);
}

TEST_F(Pull, MirrorsInTheirOrder) {
  TestRegistry empty, broken;
  empty.twist([](const Asked&, Answer& r) { r = {.status = 404}; });
  broken.twist([](const Asked&, Answer& r) { r = {.status = 403}; });
  std::string dead = [] {
    TestRegistry gone;
    return gone.url();
  }();
  auto yaml = [&](const std::vector<std::string>& urls) {
    std::string list;
    for (const auto& url : urls) list += (list.empty() ? "\"" : ", \"") + url + "\"";
    return "mirrors: {\"" + registry->host() + "\": {endpoint: [" + list + "]}}";
  };
  {
    auto store = open(yaml({dead, empty.url(), broken.url(), registry->url()}));
    auto got = store->pull({.reference = name()});
    ASSERT_TRUE(got) << got.error().text();
    EXPECT_EQ(got->repo_tags, std::vector<std::string>{name()}) << "the mirror is not part of the name";
    EXPECT_EQ(empty.asked().size(), 1u);
    EXPECT_EQ(broken.asked().size(), 1u);
    ASSERT_TRUE(store->remove(got->id));
  }
  {  // the manifest is here, a blob is there
    TestRegistry part(tmp / "l");
    part.twist([](const Asked& a, Answer& r) {
      if (a.is_blob() && r.body.size() > 1'000'000) r = {.status = 404};
    });
    auto store = open(yaml({part.url(), registry->url()}));
    auto got = store->pull({.reference = name()});
    ASSERT_TRUE(got) << got.error().text();
    ASSERT_TRUE(store->remove(got->id));
  }
  {
    auto store = open(yaml({empty.url(), broken.url(), dead, registry->url()}));
    registry->twist([](const Asked&, Answer& r) { r = {.status = 404}; });
    auto got = store->pull({.reference = name()});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::not_found);
    for (const std::string& host : {empty.host(), broken.host(), registry->host()})
      EXPECT_NE(got.error().text().find(host), std::string::npos) << got.error().text();
    expect_nothing_left(*store);
  }
}

// A piece of the layer comes only once the one before was seen, so that nobody has to be quick.
TEST_F(Pull, ProgressIsSeen) {
  struct Watch {
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t most = 0;
    bool in_time = true;
  };
  auto watch = std::make_shared<Watch>();  // the registry's threads may outlive this test's body
  registry->twist([watch](const Asked& asked, Answer& answer) {
    if (!asked.is_blob() || answer.body.size() < 1'000'000) return;
    answer.piece = 500'000;
    answer.before_piece = [watch](std::size_t sent) {
      std::unique_lock lock(watch->mutex);
      const auto seen = [&] { return watch->most >= sent; };
      watch->in_time = watch->in_time && watch->changed.wait_for(lock, std::chrono::seconds(20), seen);
    };
  });
  auto store = open(own());
  std::vector<std::uint64_t> seen;
  std::atomic<bool> done = false;
  std::thread puller([&] {
    EXPECT_TRUE(store->pull({.reference = name()}));
    done = true;
  });
  for (; !done; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    auto pulls = store->pulls();
    if (pulls.empty() || pulls.front().layers.empty()) continue;
    EXPECT_EQ(pulls.front().reference, name());
    EXPECT_EQ(pulls.front().layers.size(), 3u);
    if (pulls.front().layers.size() != 3) break;
    seen.push_back(pulls.front().layers[1].fetched);
    std::lock_guard lock(watch->mutex);
    watch->most = std::max(watch->most, seen.back());
    watch->changed.notify_all();
  }
  puller.join();
  EXPECT_TRUE(watch->in_time) << "what was sent was never seen";
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_GT(std::set<std::uint64_t>(seen.begin(), seen.end()).size(), 3u);
  EXPECT_TRUE(store->pulls().empty());
}

// The layer came with an import, as a plain tar; the registry's is gzip, and is not fetched. Its blob is nowhere, then,
// when the records are lost.
TEST_F(Pull, ALayerOfAnImportSurvivesLostRecords) {
  const std::string base = layer("base", 100'000), own_layer = layer("own");
  add_image(tmp / "brought", {.name = "brought.example.com/a:1", .layers = {base}});
  add_image(tmp / "l", {.name = "x:shares",
                        .layers = {gzip(base), own_layer},
                        .diff_ids = {Digest::of(base).text(), Digest::of(own_layer).text()}});
  ASSERT_TRUE(sys::make_dir(tmp / "c"));
  auto tree = [&](DiskImageStore& store, const Image& image) {
    auto mount = store.mount_readonly(image, tmp / "c");
    EXPECT_TRUE(mount) << mount.error().text();
    return mount ? read_tree(fd_path(*mount)) : std::map<std::string, std::string>();
  };
  auto reopen = [&](Store* store) {
    store->reset();
    ASSERT_EQ(::unlink((tmp / "images/images.db").c_str()), 0);
    quarantined.clear();
    auto opened = DiskImageStore::open(tmp / "images", host_facts(), {}, &quarantined);
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_EQ(quarantined, std::vector<std::string>{});
    *store = *std::move(opened);
  };
  auto store = open();
  ASSERT_TRUE(store->import(tmp / "brought"));
  auto pulled = store->pull({.reference = "e.com/x:shares"});
  ASSERT_TRUE(pulled) << pulled.error().text();
  EXPECT_FALSE(sys::exists(tmp / ("images/blobs/sha256/" + Digest::of(gzip(base)).hex()))) << "it was fetched";
  const auto good = tree(*store, *pulled);
  EXPECT_EQ(good.size(), 3u);

  const auto before = store->list();
  reopen(&store);
  EXPECT_EQ(store->list(), before);
  EXPECT_EQ(difference(tree(*store, *pulled), good), "");
  ASSERT_TRUE(store->remove("brought.example.com/a:1"));
  reopen(&store);
  ASSERT_EQ(store->list(), std::vector<Image>{*pulled}) << "without the image that brought the layer";
  EXPECT_EQ(difference(tree(*store, *pulled), good), "");
}

}  // namespace
}  // namespace podshim::image::test
