#include "shim/image/overlay.h"

#include <gtest/gtest.h>

namespace podshim::image {
namespace {

std::vector<std::string> layers(int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; i++) out.push_back("00000000000000" + std::to_string(10 + i % 90) + "/fs");
  return out;
}

using Options = std::vector<std::pair<std::string, std::string>>;

TEST(Overlay, PlansByWhatTheKernelHas) {
  struct Case {
    const char* name;
    bool lowerdir_plus;
    int layers;
    std::string dir = "/images/layers";
    OverlayMethod want = OverlayMethod::lowerdir_plus;
  };
  const Case cases[] = {
      {"new kernel", true, 3},
      {"new kernel, many layers", true, 400},
      {"new kernel, long root", true, 3, "/" + std::string(240, 'r'), OverlayMethod::one_string},
      {"new kernel, odd root", true, 3, "/a,b", OverlayMethod::one_string},
      {"6.1, few", false, 12, "/images/layers", OverlayMethod::one_string},
      {"6.1, more", false, 13, "/images/layers", OverlayMethod::one_page},
      {"6.1, forty", false, 40, "/images/layers", OverlayMethod::one_page},
  };
  for (const auto& c : cases) {
    auto plan = plan_overlay({.layers_dir = c.dir, .layers = layers(c.layers), .upper = "/c/upper", .work = "/c/work"},
                             {.overlay_lowerdir_plus = c.lowerdir_plus});
    ASSERT_TRUE(plan) << c.name;
    EXPECT_EQ(plan->method, c.want) << c.name;
    EXPECT_LT(plan->page.size(), 4096u) << c.name;
    if (plan->method == OverlayMethod::one_page) continue;
    for (const auto& [key, value] : plan->options) EXPECT_LE(value.size(), 255u) << c.name << " " << key;
  }
}

TEST(Overlay, TopmostFirst) {
  OverlaySpec spec{.layers_dir = "/l", .layers = {"a/fs", "b/fs"}, .upper = "/c/upper", .work = "/c/work"};
  auto plan = plan_overlay(spec, {.overlay_lowerdir_plus = true});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->options, (Options{{"lowerdir+", "/l/b/fs"},
                                    {"lowerdir+", "/l/a/fs"},
                                    {"upperdir", "/c/upper"},
                                    {"workdir", "/c/work"},
                                    {"index", "off"},
                                    {"metacopy", "off"}}));
  plan = plan_overlay(spec, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->options.front(), (Options::value_type{"lowerdir", "b/fs:a/fs"}));
}

TEST(Overlay, FewLayersAreFilledUp) {
  struct Case {
    const char* name;
    std::vector<std::string> layers;
    bool readonly;
    std::string want;
  };
  const Case cases[] = {
      {"none, written", {}, false, "empty/a"},
      {"none, read-only", {}, true, "empty/a:empty/b"},
      {"one, written", {"a/fs"}, false, "a/fs"},
      {"one, read-only", {"a/fs"}, true, "a/fs:empty/a"},
      {"two, read-only", {"a/fs", "b/fs"}, true, "b/fs:a/fs"},
  };
  for (const auto& c : cases) {
    OverlaySpec spec{.layers_dir = "/l", .layers = c.layers};
    if (!c.readonly) spec.upper = "/u", spec.work = "/w";
    auto plan = plan_overlay(spec, {});
    ASSERT_TRUE(plan) << c.name;
    EXPECT_EQ(plan->options.front().second, c.want) << c.name;
  }
}

TEST(Overlay, MoreThanAPageIsAnError) {
  auto plan = plan_overlay({.layers_dir = "/l", .layers = layers(250), .upper = "/u", .work = "/w"}, {});
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().text().find("250 layers"), std::string::npos) << plan.error().text();
}

TEST(Overlay, PathsThatNeedEscapingAreTold) {
  EXPECT_TRUE(is_plain_option("/var/lib/podshim/containers/x/upper"));
  for (std::string bad :
       {std::string("/a,b"), std::string("/a:b"), std::string("/a\\b"), "/" + std::string(255, 'x')}) {
    EXPECT_FALSE(is_plain_option(bad)) << bad;
  }
}

}  // namespace
}  // namespace podshim::image
