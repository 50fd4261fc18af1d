// The command line: flag over file over default with its origin, exit codes, errors with file and line.
#include "shim/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "shim/cni_config.h"

namespace podshim {
namespace {

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    char name[] = "/tmp/podshim-options.XXXXXX";
    dir = ::mkdtemp(name);
    file = dir + "/config.yaml";
    std::ofstream(file) << "cluster-cidr: 10.77.0.0/16\npodshim:\n  root: /from/file\n  state: /state/from/file\n";
  }
  ~OptionsTest() override { std::filesystem::remove_all(dir); }
  static const Setting* setting(const Options& options, const std::string& name) {
    for (const auto& s : options.settings)
      if (s.name == name) return &s;
    return nullptr;
  }
  std::string dir, file;
};

TEST_F(OptionsTest, FlagOverFileOverDefault) {
  const auto o =
      parse_options({"--config", file, "--root", "/from/flag", "--cni-bin-dir", "/a", "--cni-bin-dir", "/b"});
  ASSERT_TRUE(o.has_value()) << o.error().err;
  EXPECT_EQ(o->verb, Verb::serve);
  EXPECT_EQ(o->config.podshim.root, "/from/flag");
  EXPECT_EQ(o->config.podshim.state, "/state/from/file");
  EXPECT_EQ(o->config.podshim.socket, "/run/podshim/podshim.sock");
  EXPECT_EQ(o->config.podshim.cni_bin_dirs, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_STREQ(setting(*o, "root")->origin, "flag");
  EXPECT_STREQ(setting(*o, "state")->origin, "file");
  EXPECT_STREQ(setting(*o, "socket")->origin, "default");
  EXPECT_STREQ(setting(*o, "cluster-cidr")->origin, "file");
  EXPECT_EQ(setting(*o, "cni-bin-dirs")->value, "/a,/b");
}

TEST_F(OptionsTest, Verbs) {
  struct Case {
    std::vector<std::string> arguments;
    Verb verb;
    std::vector<std::string> operands;
    bool json = false;
  };
  const Case cases[] = {
      {{"image", "import", "/a.tar", "/b.tar"}, Verb::image_import, {"/a.tar", "/b.tar"}},
      {{"image", "ls", "--output", "json"}, Verb::image_list, {}, true},
      {{"image", "rm", "busybox:1"}, Verb::image_remove, {"busybox:1"}},
      {{"status"}, Verb::status, {}},
      {{"status", "--output", "json"}, Verb::status, {}, true},
      {{"doctor", "-o", "json"}, Verb::doctor, {}, true},
      {{"cni-config"}, Verb::cni_config, {}},
      {{}, Verb::serve, {}},
  };
  for (const auto& c : cases) {
    for (const bool socket_last : {false, true}) {
      auto arguments = c.arguments;
      const std::vector<std::string> common = {"--config", file, "--socket", "/x.sock"};
      arguments.insert(socket_last ? arguments.end() : arguments.begin(), common.begin(), common.end());
      const auto o = parse_options(arguments);
      ASSERT_TRUE(o.has_value()) << o.error().err;
      EXPECT_EQ(o->verb, c.verb);
      EXPECT_EQ(o->operands, c.operands);
      EXPECT_EQ(o->json, c.json);
      EXPECT_EQ(o->config.podshim.socket, "/x.sock");
    }
  }
}

TEST_F(OptionsTest, RelativePathsAreFromHere) {
  const auto o = parse_options({"--config", file, "image", "import", "x/../a.tar"});
  ASSERT_TRUE(o.has_value());
  EXPECT_EQ(o->operands[0], (std::filesystem::current_path() / "a.tar").string());
}

TEST_F(OptionsTest, BadUsageIsTwo) {
  const std::vector<std::string> cases[] = {{"--no-such-flag"},
                                            {"--log-level", "loud"},
                                            {"image"},
                                            {"image", "import"},
                                            {"fly"},
                                            {"status", "--output", "xml"},
                                            {"--config", dir + "/none"},
                                            {"--nri-socket", "/x"},
                                            {"status", "doctor"}};
  for (const auto& arguments : cases) {
    const auto o = parse_options(arguments);
    ASSERT_FALSE(o.has_value()) << arguments[0];
    EXPECT_EQ(o.error().code, 2) << arguments[0];
    EXPECT_FALSE(o.error().err.empty()) << arguments[0];
  }
  EXPECT_EQ(parse_options({"--help"}).error().code, 0);
  EXPECT_NE(parse_options({"--help"}).error().out.find("--cni-conf-dir"), std::string::npos);
  EXPECT_EQ(parse_options({"--version"}).error().out, "podshim 0.1.0\n");
}

TEST_F(OptionsTest, AnUnknownKeyIsNamedWithItsLine) {
  std::ofstream(file) << "podshim:\n  root: /a\n  speed: 9\n";
  const auto o = parse_options({"--config", file});
  ASSERT_FALSE(o.has_value());
  EXPECT_EQ(o.error().code, 2);
  EXPECT_NE(o.error().err.find(file + ":3"), std::string::npos) << o.error().err;
  EXPECT_NE(o.error().err.find("podshim.speed"), std::string::npos) << o.error().err;
}

TEST_F(OptionsTest, CniConfigFollowsTheConfig) {
  const auto o = parse_options({"--config", file, "cni-config"});
  ASSERT_TRUE(o.has_value());
  const auto list = json::parse(cni_config_text(o->config));
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->find("cniVersion")->as_string(), "1.1.0");
  const auto& plugins = list->find("plugins")->as_array();
  ASSERT_EQ(plugins.size(), 2u);
  EXPECT_EQ(plugins[0].find("bridge")->as_string(), "podshim0");
  const auto* ipam = plugins[0].find("ipam");
  EXPECT_EQ(ipam->find("ranges")->as_array()[0].as_array()[0].find("subnet")->as_string(), "10.77.0.0/16");
  EXPECT_EQ(ipam->find("dataDir")->as_string(), "/from/file/ipam");
  EXPECT_TRUE(plugins[1].find("capabilities")->find("portMappings")->as_bool());
}

}  // namespace
}  // namespace podshim
