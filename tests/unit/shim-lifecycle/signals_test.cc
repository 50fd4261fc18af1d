#include "shim/lifecycle/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace podshim::lifecycle {
namespace {

TEST(Signals, Names) {
  const struct {
    const char* text;
    int want;
  } cases[] = {{"", SIGTERM},
               {"SIGTERM", SIGTERM},
               {"TERM", SIGTERM},
               {"15", 15},
               {"SIGQUIT", 3},
               {"SIGWINCH", SIGWINCH},
               {"SIGRTMIN+3", SIGRTMIN + 3},
               {"RTMAX-1", SIGRTMAX - 1},
               {"RTMIN", SIGRTMIN},
               {"SIGCLD", SIGCHLD},
               {"SIGPOLL", SIGIO},
               {"SIGIO", SIGIO},
               {"SIGRTMAX-14", SIGRTMAX - 14},
               {"SIGUSR1", SIGUSR1}};
  for (const auto& c : cases) {
    auto got = parse_signal(c.text);
    ASSERT_TRUE(got) << c.text << ": " << got.error().text();
    EXPECT_EQ(*got, c.want) << c.text;
  }
  for (const char* bad : {"SIGFOO", "0", "-1", "65", "1x", "RTMIN+100", "RTMAX+1", "term"}) {
    auto got = parse_signal(bad);
    ASSERT_FALSE(got) << bad;
    EXPECT_NE(got.error().text().find(bad), std::string::npos);
  }
}

}  // namespace
}  // namespace podshim::lifecycle
