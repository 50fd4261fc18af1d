#include "shim/image/catalog.h"

#include <gtest/gtest.h>

namespace podshim::image {
namespace {

StoredImage image(const std::string& seed, std::vector<std::string> tags, const std::string& target = "") {
  StoredImage out{.id = Digest::of(seed), .manifest = Digest::of("manifest of " + (target.empty() ? seed : target))};
  for (const auto& tag : tags) {
    auto ref = parse_reference(tag);
    out.tags[ref->text()] = out.manifest;
    out.digests[ref->repository() + "@" + out.manifest.text()] = out.manifest;
  }
  out.blobs = {out.id, out.manifest};
  std::sort(out.blobs.begin(), out.blobs.end());
  return out;
}

Catalog with(std::vector<StoredImage> images) {
  Catalog out;
  for (const auto& i : images) out = out.add({i}).next;
  return out;
}

TEST(Catalog, FindsByEveryName) {
  StoredImage a = image("a", {"busybox:1", "podshim.dev/x/busybox"}), b = image("b", {"other"});
  Catalog catalog = with({a, b});
  struct Case {
    std::string reference;
    const StoredImage* want;
  };
  const Case cases[] = {
      {a.id.text(), &a},
      {a.id.hex(), &a},
      {a.id.hex().substr(0, 12), &a},
      {"sha256:" + a.id.hex().substr(0, 13), &a},
      {a.id.hex().substr(0, 11), nullptr},
      {"busybox:1", &a},
      {"docker.io/library/busybox:1", &a},
      {"docker.io/busybox:1", &a},
      {"busybox", nullptr},
      {"podshim.dev/x/busybox", &a},
      {"podshim.dev/x/busybox:latest", &a},
      {"busybox@" + a.manifest.text(), &a},
      {"podshim.dev/x/busybox@" + a.manifest.text(), &a},
      {"other@" + a.manifest.text(), nullptr},
      {"other", &b},
      {"Not a reference", nullptr},
      {"", nullptr},
      {"sha256:", nullptr},
  };
  for (const auto& c : cases) {
    const StoredImage* got = catalog.find(c.reference);
    ASSERT_EQ(got != nullptr, c.want != nullptr) << c.reference;
    if (got != nullptr) {
      EXPECT_EQ(got->view(), c.want->view()) << c.reference;
    }
  }
}

TEST(Catalog, ANameOfHexDigitsComesBeforeAnIdPrefix) {
  StoredImage a = image("a", {}), b = image("b", {Digest::of("a").hex().substr(0, 12)});
  Catalog catalog = with({a, b});
  ASSERT_NE(catalog.find(a.id.hex().substr(0, 12)), nullptr);
  EXPECT_EQ(catalog.find(a.id.hex().substr(0, 12))->id, b.id);
  EXPECT_EQ(catalog.find(a.id.hex().substr(0, 13))->id, a.id);
}

TEST(Catalog, ATagMoves) {
  Catalog catalog = with({image("a", {"x:1", "x:2"})});
  auto change = catalog.add({image("b", {"x:1"})});
  EXPECT_EQ(change.put.size(), 2u) << "both records change";
  const StoredImage* a = change.next.find(Digest::of("a").text());
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->view().repo_tags, std::vector<std::string>{"docker.io/library/x:2"});
  EXPECT_EQ(change.next.find("x:1")->id, Digest::of("b"));
  EXPECT_EQ(catalog.find("x:1")->id, Digest::of("a")) << "the old value is untouched";
  // Its last tag moved too: it stays, under its digest.
  Catalog last = change.next.add({image("b", {"x:2"})}).next;
  a = last.find(Digest::of("a").text());
  ASSERT_NE(a, nullptr);
  EXPECT_TRUE(a->tags.empty());
  EXPECT_EQ(last.find("x@" + a->manifest.text()), a);
  EXPECT_EQ(last.find("x:1"), last.find("x:2"));
}

TEST(Catalog, AddingTwiceIsAddingOnce) {
  Catalog once = with({image("a", {"x:1"})});
  EXPECT_EQ(once.add({image("a", {"x:1"})}).next.list(), once.list());
  EXPECT_EQ(with({image("a", {"x:1"}), image("a", {"x:2"})}).list(), with({image("a", {"x:1", "x:2"})}).list());
}

TEST(Catalog, Removes) {
  struct Case {
    const char* name;
    std::string reference;
    std::vector<std::string> tags, digests;  // of "a" afterwards
    bool gone = false;
  };
  StoredImage a = image("a", {"x:1", "x:2", "y:1"});
  std::string x = "docker.io/library/x", y = "docker.io/library/y", m = "@" + a.manifest.text();
  const Case cases[] = {
      {"by id", a.id.text(), {}, {}, true},
      {"by bare id", a.id.hex(), {}, {}, true},
      {"by tag", "x:1", {x + ":2", y + ":1"}, {x + m, y + m}},
      {"by the only tag of a repository", "y:1", {x + ":1", x + ":2"}, {x + m}},
      {"by digest", "x" + m, {y + ":1"}, {y + m}},
      {"unknown", "z", {x + ":1", x + ":2", y + ":1"}, {x + m, y + m}},
      {"unknown id", "sha256:" + std::string(64, '0'), {x + ":1", x + ":2", y + ":1"}, {x + m, y + m}},
  };
  for (const auto& c : cases) {
    auto change = with({a}).remove(c.reference);
    const StoredImage* left = change.next.find(a.id.text());
    ASSERT_EQ(left == nullptr, c.gone) << c.name;
    EXPECT_EQ(change.removed.size(), c.gone ? 1u : 0u) << c.name;
    if (left == nullptr) continue;
    EXPECT_EQ(left->view().repo_tags, c.tags) << c.name;
    EXPECT_EQ(left->view().repo_digests, c.digests) << c.name;
    EXPECT_EQ(change.next.remove(c.reference).put.size(), 0u) << c.name << ": twice is once";
  }
}

TEST(Catalog, TheLastTagTakesTheImage) {
  Catalog catalog = with({image("a", {"x:1", "y:1"})});
  catalog = catalog.remove("x:1").next;
  EXPECT_EQ(catalog.list().size(), 1u);
  auto change = catalog.remove("y:1");
  EXPECT_EQ(change.removed, std::vector<std::string>{Digest::of("a").text()});
  EXPECT_TRUE(change.next.list().empty());
}

TEST(Catalog, RecordsReadBack) {
  StoredImage a = image("a", {"x:1", "localhost:5000/y:2"});
  a.diff_ids = {Digest::of("l1"), Digest::of("l1")};
  auto got = decode_record({a.id.text(), encode_record(a)});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(encode_record(*got), encode_record(a));
  EXPECT_EQ(got->view(), a.view());
  for (const char* bad : {"", "{}", "[]", R"({"manifest":"x"})"})
    EXPECT_FALSE(decode_record({a.id.text(), bad})) << bad;
  std::string wrong = encode_record(a);
  wrong.replace(wrong.find("docker.io/library/x:1"), 9, "docker-io");
  EXPECT_FALSE(decode_record({a.id.text(), wrong})) << "a name that is not canonical";
  EXPECT_FALSE(decode_record({"sha256:zz", encode_record(a)}));
  StoredImage mixed = a;
  mixed.tags = a.digests;
  EXPECT_FALSE(decode_record({a.id.text(), encode_record(mixed)})) << "digests among the tags";
  mixed = a;
  mixed.digests = a.tags;
  EXPECT_FALSE(decode_record({a.id.text(), encode_record(mixed)})) << "tags among the digests";
}

}  // namespace
}  // namespace podshim::image
