// Pulls from a registry that means harm: answers, sizes, layers.
#include <sys/stat.h>

#include <chrono>

#include "pull_fixture.h"

namespace podshim::image::test {
namespace {

TEST_F(Pull, ARefusalWithoutEndIsCut) {
  for (const bool manifest : {false, true}) {  // whole, it would take 20 s
    registry->twist([&](const Asked& asked, Answer& answer) {
      if (asked.method == "GET" && asked.is_manifest() == manifest)
        answer = {
            .status = 403, .body = std::string(4UL << 20, 'x'), .length = -2, .pause_ms = 160, .piece = 32UL << 10};
    });
    auto store = open(own());
    auto since = std::chrono::steady_clock::now();
    expect_failure(*store, name(), ErrorKind::permission_denied, "answered 403");
    EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(10));
  }
}

TEST_F(Pull, ADeclaredLayerBeyondTheLimitIsNotFetched) {
  StoreLimits limits;
  limits.layer.bytes = 1'000'000;
  auto store = open(own(), limits);
  expect_failure(*store, name(), ErrorKind::resource_exhausted, "more than 1000000");
  EXPECT_EQ(blobs(), 1u) << "the config";
}

TEST_F(Pull, HostileAnswers) {
  auto text = [](std::string body, std::string type = "application/json") {
    return Answer{.status = 200, .headers = {{"Content-Type", std::move(type)}}, .body = std::move(body)};
  };
  struct Case {
    const char* name;
    TestRegistry::Twist twist;
    ErrorKind kind;
    const char* error;
  };
  auto big = [](const Asked& a, const Answer& r) { return a.is_blob() && r.body.size() > 1'000'000; };
  const Case cases[] = {
      {"not found",
       [](const Asked&, Answer& r) { r = {.status = 404, .body = R"({"errors":[{"code":"NAME_UNKNOWN"}]})"}; },
       ErrorKind::not_found, "answered 404"},
      {"denied", [](const Asked&, Answer& r) { r = {.status = 403}; }, ErrorKind::permission_denied, "403"},
      {"401 without a way in", [](const Asked&, Answer& r) { r = {.status = 401}; }, ErrorKind::unauthenticated,
       "registries.yaml"},
      {"a web page",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest()) r = text("<html>log in</html>", "text/html; charset=utf-8");
       },
       ErrorKind::unavailable, "a web page"},
      {"not JSON",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest()) r = text("{");
       },
       ErrorKind::invalid_argument, ""},
      {"schema 1",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest()) r = text(R"({"schemaVersion":1,"fsLayers":[]})");
       },
       ErrorKind::unimplemented, "schema 1"},
      {"another manifest than its digest",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest() && a.method == "GET") r.body += " ";
       },
       ErrorKind::failed_precondition, "instead of"},
      {"a manifest of 5 MiB",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest()) r = text(std::string(5 << 20, ' '));
       },
       ErrorKind::unavailable, "an answer of more than"},
      {"endless manifest",
       [&](const Asked& a, Answer& r) {
         if (a.is_manifest()) r = text(std::string(20 << 20, ' ')), r.length = -2;
       },
       ErrorKind::unavailable, "an answer of more than"},
      {"endless headers",
       [](const Asked&, Answer& r) {
         for (int i = 0; i < 100; i++) r.headers.emplace_back("X-" + std::to_string(i), std::string(1000, 'x'));
       },
       ErrorKind::unavailable, ""},
      {"another blob than its digest",
       [&](const Asked& a, Answer& r) {
         if (big(a, r)) r.body[2'000'000] ^= 1;
       },
       ErrorKind::failed_precondition, " sent sha256:"},
      {"a blob that is too long",
       [&](const Asked& a, Answer& r) {
         if (big(a, r)) r.body += "more";
       },
       ErrorKind::failed_precondition, "the manifest says"},
      {"too long, and the length is not told",
       [&](const Asked& a, Answer& r) {
         if (big(a, r)) r.body += std::string(9'000'000, 'x'), r.length = -2;
       },
       ErrorKind::failed_precondition, "sends more than"},
      {"a length that is not true, then silence",
       [&](const Asked& a, Answer& r) {
         if (big(a, r)) r.body.resize(1'000'000), r.length = -2, r.ranges = false;
       },
       ErrorKind::unavailable, "ended after 1000000 of"},
      {"the wrong range",
       [&](const Asked& a, Answer& r) {
         if (!a.is_blob() || r.body.size() < 1'000'000) return;
         if (a.header("range").empty()) {
           r.cut = 500'000;
         } else {
           r.ranges = false;
           r.status = 206;
           r.headers.emplace_back("Content-Range", "bytes 5-9/10");
         }
       },
       ErrorKind::failed_precondition, "another range"},
      {"a redirect loop", [](const Asked& a, Answer& r) { r = {.status = 307, .headers = {{"Location", a.target}}}; },
       ErrorKind::unavailable, "more than ten redirects"},
      {"a redirect to a file",
       [](const Asked&, Answer& r) { r = {.status = 302, .headers = {{"Location", "file:///etc/shadow"}}}; },
       ErrorKind::unavailable, "http"},
      {"a compressed body",
       [&](const Asked& a, Answer& r) {
         if (big(a, r)) r.headers.emplace_back("Content-Encoding", "gzip");
       },
       ErrorKind::failed_precondition, "encoded as gzip"},
      {"500 for ever",
       [&](const Asked& a, Answer& r) {
         if (a.is_blob()) r = {.status = 500};
       },
       ErrorKind::unavailable, "500"},
  };
  auto store = open(own());
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    registry->twist(c.twist);
    expect_failure(*store, name(), c.kind, c.error);
  }
  registry->twist(nullptr);
  EXPECT_TRUE(store->pull({.reference = name()}));
}

TEST_F(Pull, HostileLayersStayInTheirRoot) {
  struct Case {
    const char* name;
    std::string tar;
    const char* error;  // "" = the image is fine, and harmless
  };
  const Case cases[] = {
      {"..", make_tar({{.path = "../../evil", .data = "x"}}), ".."},
      {"absolute", make_tar({{.path = "/var/tmp/podshim-evil", .data = "x"}}), ""},
      {"through a symlink",
       make_tar({{.path = "d", .type = S_IFLNK, .data = "/var/tmp"}, {.path = "d/podshim-evil", .data = "x"}}),
       "not a directory"},
      {"hard link out", make_tar({{.path = "h", .hard_link = "../../../etc/shadow"}}), ".."},
      {"not a tar", noise(5000, 1), "tar"},
  };
  int n = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::string tag = "h" + std::to_string(n++);
    add_image(tmp / "l", {.name = "x:" + tag, .layers = {layer("a"), c.tar}});
    auto store = open(own());
    if (*c.error != '\0') {
      expect_failure(*store, name(":" + tag), ErrorKind::invalid_argument, c.error);
    } else {
      auto got = store->pull({.reference = name(":" + tag)});
      ASSERT_TRUE(got) << got.error().text();
      ASSERT_TRUE(store->remove(got->id));
    }
    EXPECT_FALSE(sys::exists("/var/tmp/podshim-evil"));
    EXPECT_FALSE(sys::exists("/evil"));
  }
  std::string bomb = gzip(make_tar({{.path = "zeros", .data = std::string(40'000'000, '\0')}}));
  add_image(tmp / "l",
            {.name = "x:bomb",
             .layers = {bomb},
             .diff_ids = {Digest::of(make_tar({{.path = "zeros", .data = std::string(40'000'000, '\0')}})).text()}});
  auto store = open(own(), {.layer = {.bytes = 10'000'000}});
  expect_failure(*store, name(":bomb"), ErrorKind::resource_exhausted, "the limit of a layer");
}

}  // namespace
}  // namespace podshim::image::test
