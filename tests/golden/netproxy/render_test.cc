// The tables of the small and of the wide world as text, compared with files. PODSHIM_UPDATE_GOLDEN=1 writes these
// anew; the diff is then read by a person.
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/sys/file.h"
#include "netproxy/render_text.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

void compare(const std::string& name, const netproxy::Ruleset& ruleset) {
  auto file = std::string(PODSHIM_SOURCE_DIR) + "/tests/golden/netproxy/" + name;
  auto text = netproxy::render_text(ruleset);
  if (std::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(sys::write_file(file, text, 0644));
  }
  auto want = sys::read_file(file);
  ASSERT_TRUE(want) << want.error().text();
  EXPECT_EQ(text, *want);
}

TEST(RenderText, SmallWorld) { compare("small_world.nft", netproxy::build_ruleset(layout(), small_world())); }
TEST(RenderText, WideWorld) { compare("wide_world.nft", netproxy::build_ruleset(wide_layout(), wide_world())); }

}  // namespace
}  // namespace podshim::test
