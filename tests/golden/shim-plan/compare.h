// A text against its file; PODSHIM_UPDATE_GOLDEN=1 rewrites the file, and the diff is what a reviewer reads.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace podshim::testing {

inline void compare(const std::string& name, const std::string& got) {
  const std::string path = std::string(PODSHIM_SOURCE_DIR) + "/tests/golden/shim-plan/" + name + ".txt";
  if (std::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << got;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing: run with PODSHIM_UPDATE_GOLDEN=1 and read it";
  std::stringstream want;
  want << file.rdbuf();
  EXPECT_EQ(got, want.str()) << "differs from " << path << "; PODSHIM_UPDATE_GOLDEN=1 rewrites it";
}

}  // namespace podshim::testing
