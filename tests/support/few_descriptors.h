// FewDescriptors: while it lives, this process may open so many descriptors and no more (EMFILE), provided that those
// it has leave no gaps. One at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/sys/file.h"

namespace podshim::test {

class FewDescriptors {
 public:
  explicit FewDescriptors(unsigned more) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(sys::open("/", O_PATH).value().get()) + more;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~FewDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace podshim::test
