#include "shim/image/layer_entry.h"

#include <gtest/gtest.h>

#include "shim/image/layer_dir.h"

namespace podshim::image {
namespace {

TEST(LayerEntry, PathsAreNormalAndStayInside) {
  struct Case {
    std::string input, parent, name;
    bool ok = true;
  };
  const Case cases[] = {
      {"a", "", "a"},
      {"./a", "", "a"},
      {"a/b/c", "a/b", "c"},
      {"a//b/./c/", "a/b", "c"},
      {"/etc/passwd", "etc", "passwd"},
      {".", "", ""},
      {"./", "", ""},
      {"/", "", ""},
      {"", "", ""},
      {"a..b/..c", "a..b", "..c"},
      {"..", "", "", false},
      {"a/../b", "", "", false},
      {"a/..", "", "", false},
      {"/../etc", "", "", false},
      {std::string("a\0b", 3), "", "", false},
      {std::string(256, 'x'), "", "", false},
      {std::string(255, 'x'), "", std::string(255, 'x')},
  };
  for (const auto& c : cases) {
    auto got = split_entry_path(c.input);
    ASSERT_EQ(got.has_value(), c.ok) << c.input;
    if (got) {
      EXPECT_EQ(*got, (EntryPath{c.parent, c.name})) << c.input;
    }
  }
}

TEST(LayerEntry, WhiteoutsAreToldByName) {
  struct Case {
    std::string input;
    EntryKind kind;
    std::string path;
    bool ok = true;
  };
  const Case cases[] = {
      {"a/b", EntryKind::regular, "a/b"},
      {"a/.wh.b", EntryKind::whiteout, "a/b"},
      {".wh.b", EntryKind::whiteout, "b"},
      {".wh..wh.b", EntryKind::ignored, ".wh..wh.b"},
      {"a/b/.wh..wh..opq", EntryKind::opaque, "a/b"},
      {".wh..wh..opq", EntryKind::opaque, ""},
      {".wh..wh.plnk/1.2", EntryKind::ignored, ".wh..wh.plnk/1.2"},
      {"a/.wh..wh.aufs", EntryKind::ignored, "a/.wh..wh.aufs"},
      {"a/.why", EntryKind::regular, "a/.why"},
      {"a/.wh.", EntryKind::regular, "", false},
      {"a/.wh..", EntryKind::regular, "", false},
      {"a/.wh...", EntryKind::regular, "", false},
      {"a/.wh.b/c", EntryKind::regular, "", false},
      {".wh.b/c", EntryKind::regular, "", false},
  };
  for (const auto& c : cases) {
    auto path = split_entry_path(c.input);
    ASSERT_TRUE(path) << c.input;
    auto got = classify_name(*path);
    ASSERT_EQ(got.has_value(), c.ok) << c.input;
    if (!got) continue;
    EXPECT_EQ(got->kind, c.kind) << c.input;
    EXPECT_EQ(got->path.text(), c.path) << c.input;
  }
}

TEST(LayerEntry, OverlayAttributesAreNotTheLayersToSet) {
  for (const char* name : {"security.capability", "user.a", "system.posix_acl_access", "security.ima"}) {
    EXPECT_TRUE(is_allowed_xattr(name)) << name;
  }
  for (const char* name : {"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.x", "user.overlay.opaque",
                           "security.selinux", "system.x", ""}) {
    EXPECT_FALSE(is_allowed_xattr(name)) << name;
  }
}

TEST(Layer, MarkerReadsBack) {
  Layer layer{.parent = Digest::of("p"), .diff_id = Digest::of("d")};
  layer.chain = chain_id(layer.parent, layer.diff_id);
  layer.unpacked = {.totals = {1, 4096, 3}, .inflated = 10240, .opaque_root = true};
  auto got = decode_layer(encode_layer(layer));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(encode_layer(*got), encode_layer(layer));
  layer.chain = Digest::of("another");
  EXPECT_FALSE(decode_layer(encode_layer(layer))) << "a chain id that is not of its parts";
  EXPECT_FALSE(decode_layer(""));
  EXPECT_FALSE(decode_layer("{}"));
}

TEST(Layer, AnOpaqueRootHidesWhatIsBelow) {
  std::vector<Layer> chain(3);
  for (int i = 0; i < 3; i++) chain[static_cast<std::size_t>(i)].chain = Digest::of(std::to_string(i));
  EXPECT_EQ(layer_stack(chain).size(), 3u);
  chain[1].unpacked.opaque_root = true;
  EXPECT_EQ(layer_stack(chain), (std::vector<std::string>{chain[1].key() + "/fs", chain[2].key() + "/fs"}));
}

}  // namespace
}  // namespace podshim::image
