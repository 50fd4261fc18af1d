// registries.yaml, and which endpoints are asked for an image; addresses.
#include "shim/image/registries.h"

#include <gtest/gtest.h>

#include "shim/image/challenge.h"

namespace podshim::image {
namespace {

constexpr const char* kFile = R"yaml(
mirrors:
  docker.io:
    endpoint: ["http://127.0.0.1:5000", "https://mirror.example.com/v2/hub/"]
    rewrite:
      "^library/(.*)": "hub/${1}"
      "^never/": "x/"
  quay.io:
    endpoint: ["https://quay.io"]
  local.example.com:5000:
    endpoint: ["http://local.example.com:5000"]
  "*":
    endpoint: ["https://all.example.com"]
configs:
  mirror.example.com:
    auth: {username: m, password: s}
    tls: {ca_file: /ca, cert_file: /c, key_file: /k}
  docker.io: {
auth: {
auth:
  dTpw
}
}
  "*": {tls: {insecure_skip_verify: true}}
)yaml";

std::string show(const Endpoint& e) {
  return e.base.text() + " " + e.repository + (e.ns.empty() ? "" : " for " + e.ns) +
         (e.auth.empty() ? "" : " as " + e.auth.username + e.auth.auth);
}

TEST(Registries, EndpointsInTheirOrder) {
  struct Case {
    const char *name, *reference;
    RegistryAuth request;
    std::vector<std::string> want;
  };
  const RegistryAuth me{.username = "me", .password = "p"};
  const RegistryAuth mirror{.username = "me", .password = "p", .server_address = "https://mirror.example.com/v1/"};
  const Case cases[] = {
      {"mirrors, then the registry",
       "busybox:1",
       {},
       {"http://127.0.0.1:5000/v2 hub/busybox for docker.io",
        "https://mirror.example.com/v2/hub hub/busybox for docker.io as m",
        "https://registry-1.docker.io/v2 library/busybox as dTpw"}},
      {"a rewrite that does not match",
       "docker.io/team/app",
       {},
       {"http://127.0.0.1:5000/v2 team/app for docker.io",
        "https://mirror.example.com/v2/hub team/app for docker.io as m",
        "https://registry-1.docker.io/v2 team/app as dTpw"}},
      {"the request's credentials are the registry's alone",
       "busybox",
       me,
       {"http://127.0.0.1:5000/v2 hub/busybox for docker.io",
        "https://mirror.example.com/v2/hub hub/busybox for docker.io as m",
        "https://registry-1.docker.io/v2 library/busybox as me"}},
      {"they name the mirror, so they are the mirror's alone",
       "busybox",
       mirror,
       {"http://127.0.0.1:5000/v2 hub/busybox for docker.io",
        "https://mirror.example.com/v2/hub hub/busybox for docker.io as me",
        "https://registry-1.docker.io/v2 library/busybox as dTpw"}},
      {"Docker Hub by its old name",
       "busybox",
       {.username = "me", .password = "p", .server_address = "https://index.docker.io/v1/"},
       {"http://127.0.0.1:5000/v2 hub/busybox for docker.io",
        "https://mirror.example.com/v2/hub hub/busybox for docker.io as m",
        "https://registry-1.docker.io/v2 library/busybox as me"}},
      {"of another server", "quay.io/a/b", mirror, {"https://quay.io/v2 a/b"}},
      {"everywhere a server_address of its own",
       "local.example.com:5000/a/b",
       {.username = "me", .password = "p", .server_address = "local.example.com:5000"},
       {"http://local.example.com:5000/v2 a/b as me"}},
      {"itself as its mirror", "quay.io/a/b", me, {"https://quay.io/v2 a/b as me"}},
      {"plain HTTP where it is asked for",
       "local.example.com:5000/a/b",
       me,
       {"http://local.example.com:5000/v2 a/b as me"}},
      {"everything else",
       "ghcr.io/a/b:1",
       {},
       {"https://all.example.com/v2 a/b for ghcr.io", "https://ghcr.io/v2 a/b"}},
  };
  const auto registries = decode_registries(kFile, "registries.yaml");
  ASSERT_TRUE(registries) << registries.error().text();
  for (const auto& c : cases) {
    auto got = endpoints_of(*registries, parse_reference(c.reference).value(), c.request);
    ASSERT_TRUE(got) << c.name << ": " << got.error().text();
    std::vector<std::string> shown;
    for (const auto& e : *got) shown.push_back(show(e));
    EXPECT_EQ(shown, c.want) << c.name;
  }
  const auto none = endpoints_of({}, parse_reference("localhost:5000/x").value(), {});
  ASSERT_TRUE(none);
  EXPECT_EQ(show(none->at(0)), "https://localhost:5000/v2 x") << "plain HTTP without being asked for";
}

TEST(Registries, SettingsOfAHost) {
  const auto registries = decode_registries(kFile, "registries.yaml").value();
  auto of = [&](const char* url) { return registries.settings(parse_url(url).value()); };
  EXPECT_EQ(of("https://mirror.example.com/v2").tls.ca_file, "/ca");
  EXPECT_EQ(of("https://mirror.example.com:443/v2").tls.key_file, "/k");
  EXPECT_FALSE(of("https://mirror.example.com/").tls.insecure_skip_verify);
  EXPECT_TRUE(of("https://mirror.example.com:8443/").tls.insecure_skip_verify) << "another port is another host";
  EXPECT_EQ(of("https://registry-1.docker.io/v2").auth.auth, "dTpw");
}

TEST(Registries, WhatIsWrongIsNamed) {
  struct Case {
    const char *name, *text, *error;
  };
  const Case cases[] = {
      {"unknown at the top", "mirror: {}", "r.yaml:1: mirror: is not a known field"},
      {"unknown in a mirror", "mirrors:\n  a.io:\n    endpoints: []",
       "r.yaml:3: mirrors.a.io.endpoints: is not a known"},
      {"half a pair", "configs:\n  a.io:\n    auth: {password: x}",
       "configs.a.io.auth.username: username and password"},
      {"a user without a password, and base64", "configs:\n  a.io:\n    auth: {username: u, auth: dTpw}",
       "r.yaml:3: configs.a.io.auth.username: username and password"},
      {"a password without a user, and base64", "configs:\n  a.io:\n    auth: {password: x, auth: dTpw}",
       "configs.a.io.auth.username: username and password"},
      {"unknown in auth", "configs:\n  a.io:\n    auth: {user: x}", "configs.a.io.auth.user: is not a known field"},
      {"unknown in tls", "configs:\n  a.io:\n    tls: {ca: x}", "configs.a.io.tls.ca: is not a known field"},
      {"no scheme", "mirrors: {a.io: {endpoint: [\"b.io\"]}}", "has no scheme"},
      {"another scheme", "mirrors: {a.io: {endpoint: [\"ftp://b.io\"]}}", "only http and https"},
      {"credentials in the URL", "mirrors: {a.io: {endpoint: [\"https://u:p@b.io\"]}}", "endpoint"},
      {"a URL as a name", "configs: {\"https://a.io\": {}}", "is not host[:port]"},
      {"endpoint is no list", "mirrors: {a.io: {endpoint: https://b.io}}", "mirrors.a.io.endpoint"},
      {"a certificate without its key", "configs: {a.io: {tls: {cert_file: /c}}}", "belong together"},
      {"a bad pattern", "mirrors: {a.io: {rewrite: {\"(\": x}}}", "is not a regular expression"},
      {"two documents", "mirrors: {}\n---\nmirrors: {}", "more than one YAML document"},
      {"twice", "mirrors: {}\nmirrors: {}", "r.yaml:2"},
  };
  for (const auto& c : cases) {
    auto got = decode_registries(c.text, "r.yaml");
    ASSERT_FALSE(got) << c.name;
    EXPECT_NE(got.error().text().find(c.error), std::string::npos) << c.name << ": " << got.error().text();
    EXPECT_EQ(got.error().text().find("u:p@"), std::string::npos) << "a password in a message";
  }
  for (const char* text :
       {"", "mirrors:\n  a.io:\n", "configs:\n", "configs:\n  a.io:\n    auth: {username: u, identity_token: t}"})
    EXPECT_TRUE(decode_registries(text, "r.yaml")) << text;
  EXPECT_FALSE(load_registries("/nonexistent/r.yaml", true));
  EXPECT_TRUE(load_registries("/nonexistent/r.yaml", false));
}

TEST(Registries, ARewriteStaysARepository) {
  const auto registries =
      decode_registries(R"(mirrors: {a.io: {endpoint: ["https://b.io"], rewrite: {"^x": "../y?"}}})", "r");
  ASSERT_TRUE(registries);
  EXPECT_TRUE(endpoints_of(*registries, parse_reference("a.io/z").value(), {}));
  auto got = endpoints_of(*registries, parse_reference("a.io/x").value(), {});
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().text().find("rewrite"), std::string::npos) << got.error().text();
}

TEST(Url, Locations) {
  struct Case {
    const char *location, *want;  // "" = refused
  };
  const Case cases[] = {
      {"/b?x=1", "https://a.io/b?x=1"},
      {"c", "https://a.io/v2/c"},
      {"//b.io/d", "https://b.io/d"},
      {"http://b.io:80/d", "http://b.io/d"},
      {"https://b.io:8443/d", "https://b.io:8443/d"},
      {"file:///etc/shadow", ""},
      {"gopher://b.io/", ""},
      {"https://u:p@b.io/", ""},
      {"https://b.io/\r\nX: y", ""},
      {"http://", ""},
  };
  const Url base = parse_url("https://a.io/v2/x").value();
  for (const auto& c : cases) {
    auto got = resolve_location(base, c.location);
    EXPECT_EQ(got ? got->text() : "", c.want) << c.location;
  }
  for (const char* refused : {"ftp://b.io/x?sig=secret", "http://?sig=secret"}) {
    auto got = resolve_location(base, refused);
    ASSERT_FALSE(got) << refused;
    EXPECT_EQ(got.error().text().find("secret"), std::string::npos) << got.error().text();
  }
  EXPECT_EQ(parse_url("http://[::1]:5000/x").value().authority(), "[::1]:5000");
  EXPECT_EQ(query_escape("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
}

}  // namespace
}  // namespace podshim::image
