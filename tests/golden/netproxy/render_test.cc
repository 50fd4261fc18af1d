// The table of the small world as text, compared with small_world.nft. PODSHIM_UPDATE_GOLDEN=1 writes the file anew;
// the diff is then read by a person.
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/sys/file.h"
#include "netproxy/render_text.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

const std::string kFile = std::string(PODSHIM_SOURCE_DIR) + "/tests/golden/netproxy/small_world.nft";

TEST(RenderText, SmallWorld) {
  auto text = netproxy::render_text(netproxy::build_ruleset(layout(), small_world()));
  if (std::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(sys::write_file(kFile, text, 0644));
  }
  auto want = sys::read_file(kFile);
  ASSERT_TRUE(want) << want.error().text();
  EXPECT_EQ(text, *want);
}

}  // namespace
}  // namespace podshim::test
