#include "shim/image/reference.h"

#include <gtest/gtest.h>

#include "shim/image/digest.h"

namespace podshim::image {
namespace {

const std::string kHex(64, 'a');

TEST(Reference, IsMadeCanonical) {
  struct Case {
    std::string input, want;  // want "" = refused
  };
  const Case cases[] = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36"},
      {"docker.io/busybox", "docker.io/library/busybox:latest"},
      {"index.docker.io/library/busybox", "docker.io/library/busybox:latest"},
      {"foo/bar", "docker.io/foo/bar:latest"},
      {"podshim.dev/probe:1", "podshim.dev/probe:1"},
      {"localhost/a", "localhost/a:latest"},
      {"localhost:5000/a:b", "localhost:5000/a:b"},
      {"[::1]:5000/a/b", "[::1]:5000/a/b:latest"},
      {"Host/a", "Host/a:latest"},
      {"a.b/c/d-e__f.g:T_1.x-y", "a.b/c/d-e__f.g:T_1.x-y"},
      {"busybox@sha256:" + kHex, "docker.io/library/busybox@sha256:" + kHex},
      {"busybox:1@sha256:" + kHex, "docker.io/library/busybox@sha256:" + kHex},
      {"x/deadbeefcafe", "docker.io/x/deadbeefcafe:latest"},
      {"", ""},
      {":1", ""},
      {"Busybox", ""},
      {"a//b", ""},
      {"a/", ""},
      {"/a", ""},
      {"-a", ""},
      {"a-", ""},
      {"a..b", ""},
      {"a___b", ""},
      {"a:", ""},
      {"a:-x", ""},
      {"a b", ""},
      {"a:" + std::string(129, 'x'), ""},
      {"busybox@sha256:abc", ""},
      {"busybox@md5:" + kHex, ""},
      {kHex, ""},
      {"host.:5/a", ""},
      {"host:x/a", ""},
      {"[zz]/a", ""},
      {std::string(256, 'a'), ""},
      {"../etc", ""},
  };
  for (const auto& c : cases) {
    auto got = parse_reference(c.input);
    EXPECT_EQ(got ? got->text() : "", c.want) << c.input;
    if (got) {
      EXPECT_EQ(parse_reference(got->text()).value(), *got) << c.input << ": canonical text reads back";
    }
  }
}

TEST(Digest, KnowsSha256AndChains) {
  EXPECT_EQ(Digest::of("abc").text(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest::of("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Digest a = Digest::of("a"), b = Digest::of("b");
  EXPECT_EQ(chain_id({}, a), a);
  EXPECT_EQ(chain_id(a, b), Digest::of(a.text() + " " + b.text()));
  const std::string wrong[] = {"",
                               "sha256",
                               "sha256:",
                               "sha256:ABC",
                               "sha512:" + std::string(128, 'a'),
                               "sha256:" + std::string(64, 'A'),
                               "sha256:" + std::string(63, 'a')};
  for (const auto& bad : wrong) {
    EXPECT_FALSE(Digest::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace podshim::image
