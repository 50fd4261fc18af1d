#include "shim/cni_client/template.h"

#include <gtest/gtest.h>

#include "common/json.h"

namespace podshim::cni {
namespace {

TEST(PodCidrs, OneOfAFamily) {
  EXPECT_EQ(parse_pod_cidrs("10.42.1.0/24")->size(), 1U);
  auto both = parse_pod_cidrs("10.42.1.0/24, fd00:1::/64");
  ASSERT_TRUE(both) << both.error().text();
  EXPECT_EQ(both->at(1).str(), "fd00:1::/64");
  for (const char* bad : {"10.42.1", "10.42.1.0/24,", ",", "10.42.1.0/24,10.43.1.0/24", "a,b"}) {
    auto got = parse_pod_cidrs(bad);
    ASSERT_FALSE(got) << bad;
    EXPECT_EQ(got.error().kind, ErrorKind::invalid_argument) << bad;
    EXPECT_EQ(got.error().subject, "network_config.pod_cidr") << bad;
    EXPECT_NE(got.error().text().find(bad), std::string::npos) << bad;
  }
}

TEST(Template, PlaceholdersBecomeValues) {
  const std::string text = R"({"cniVersion":"1.1.0","name":"n","plugins":[{"type":"bridge","first":"{{.PodCIDR}}",
    "ipam":{"type":"host-local","ranges":{{ .PodCIDRRanges }},"routes":{{.Routes}}}}]})";
  auto got = render_template(text, *parse_pod_cidrs("10.42.1.0/24,fd00:1::/64"), "t");
  ASSERT_TRUE(got) << got.error().text();
  auto plugin = json::parse(*got)->find("plugins")->as_array().at(0);
  EXPECT_EQ(plugin.find("first")->as_string(), "10.42.1.0/24");
  EXPECT_EQ(json::dump(*plugin.find("ipam")->find("ranges")),
            R"([[{"subnet":"10.42.1.0/24"}],[{"subnet":"fd00:1::/64"}]])");
  EXPECT_EQ(json::dump(*plugin.find("ipam")->find("routes")), R"([{"dst":"0.0.0.0/0"},{"dst":"::/0"}])");
}

TEST(Template, WhatIsWrongIsSaid) {
  struct Case {
    const char *text, *want;
  } cases[] = {
      {R"({"name":"{{.Name}}"})", "{{.Name}}"},
      {R"({{range .Routes}}{{end}})", "{{range .Routes}}"},
      {R"({"name":"{{.PodCIDR"})", "without its }}"},
      {R"({"name":"n"})", "cniVersion"},
      {"{", "parse JSON"},
  };
  for (const auto& c : cases) {
    auto got = render_template(c.text, *parse_pod_cidrs("10.42.1.0/24"), "/etc/t");
    ASSERT_FALSE(got) << c.text;
    EXPECT_NE(got.error().text().find(c.want), std::string::npos) << got.error().text();
    EXPECT_NE(got.error().text().find("/etc/t"), std::string::npos) << got.error().text();
    EXPECT_EQ(got.error().kind, ErrorKind::failed_precondition);
  }
}

}  // namespace
}  // namespace podshim::cni
