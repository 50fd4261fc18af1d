// Credentials: which are sent, where to, and above all where not to.
#include <gtest/gtest.h>

#include "layout_builder.h"
#include "shim/image/disk_store.h"
#include "test_registry.h"
#include "tests/support/no_proxy.h"

namespace podshim::image::test {
namespace {

constexpr const char* kBasic = "Basic dTpw";  // u:p

class PullAuth : public ::testing::Test {
 protected:
  void SetUp() override {
    podshim::test::ignore_proxies();
    std::string tar = make_tar({{.path = "a", .data = "a"}});
    add_image(tmp / "l", {.name = "x:t", .layers = {tar, make_tar({{.path = "b", .data = "b"}})}});
    registry = std::make_unique<TestRegistry>(tmp / "l");
    elsewhere = std::make_unique<TestRegistry>(tmp / "l");
  }

  Result<Image> pull(const RegistryAuth& auth, const std::string& configs = "") {
    auto registries = decode_registries(
        "mirrors: {\"" + registry->host() + "\": {endpoint: [\"" + registry->url() + "\"]}}\n" + configs,
        "registries.yaml");
    EXPECT_TRUE(registries) << registries.error().text();
    StoreLimits limits;
    limits.pull.registries = std::make_shared<const Registries>(*std::move(registries));
    limits.retry.first_pause = std::chrono::milliseconds(5);
    auto store = DiskImageStore::open(tmp / ("images" + std::to_string(stores_++)), host_facts(), limits, nullptr);
    return (*store)->pull({.reference = registry->host() + "/x:t", .auth = auth});
  }

  // The registry wants a token of its own service, for u:p (or for anybody).
  void ask_for_tokens(bool anybody = false) {
    registry->twist([this, anybody](const Asked& a, Answer& r) {
      if (a.target == "/token") {
        bool known = anybody || a.header("authorization") == kBasic ||
                     (a.method == "POST" && a.body.find("refresh_token=idtoken") != std::string::npos);
        r = {.status = known ? 200 : 401,
             .body = known ? R"({"token":"good-)" + std::to_string(++tokens_) + "\"}" : "{}"};
        return;
      }
      if (a.header("authorization").starts_with("Bearer good-")) return;
      r = {.status = 401,
           .headers = {{"WWW-Authenticate",
                        "Bearer realm=\"" + registry->url() + "/token\",service=\"svc\",scope=\"repository:x:pull\""}}};
    });
  }

  TempDir tmp;
  std::unique_ptr<TestRegistry> registry, elsewhere;
  std::atomic<int> tokens_ = 0;
  int stores_ = 0;
};

TEST_F(PullAuth, Tokens) {
  struct Case {
    const char* name;
    RegistryAuth auth;
    bool anybody;
    ErrorKind want;  // os = it is pulled
  };
  const Case cases[] = {
      {"anonymous", {}, true, ErrorKind::os},
      {"user and password", {.username = "u", .password = "p"}, false, ErrorKind::os},
      {"base64", {.auth = "dTpw"}, false, ErrorKind::os},
      {"identity token", {.identity_token = "idtoken"}, false, ErrorKind::os},
      {"registry token", {.registry_token = "good-0"}, false, ErrorKind::os},
      {"no credentials", {}, false, ErrorKind::unauthenticated},
      {"wrong password", {.username = "u", .password = "q"}, false, ErrorKind::unauthenticated},
      {"wrong identity token", {.identity_token = "other"}, false, ErrorKind::unauthenticated},
      {"wrong registry token", {.registry_token = "bad"}, false, ErrorKind::unauthenticated},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    tokens_ = 0;
    ask_for_tokens(c.anybody);
    registry->forget();
    auto got = pull(c.auth);
    if (c.want == ErrorKind::os) {
      ASSERT_TRUE(got) << got.error().text();
      EXPECT_EQ(tokens_, c.auth.registry_token.empty() ? 1 : 0) << "one token for the whole pull";
    } else {
      ASSERT_FALSE(got);
      EXPECT_EQ(kind_name(got.error().kind), kind_name(c.want)) << got.error().text();
      for (const char* secret : {"dTpw", "idtoken", "other", "bad-token"})
        EXPECT_EQ(got.error().text().find(secret), std::string::npos) << got.error().text();
    }
    for (const auto& a : registry->asked()) {
      if (a.target != "/token" || a.method != "GET") continue;
      EXPECT_NE(a.query.find("service=svc&scope=repository%3Ax%3Apull"), std::string::npos) << a.query;
    }
  }
}

TEST_F(PullAuth, ATokenThatExpiresIsRenewed) {
  registry->twist([&](const Asked& a, Answer& r) {
    if (a.target == "/token") {
      r = {.status = 200, .body = R"({"access_token":"good-)" + std::to_string(++tokens_) + "\"}"};
      return;
    }
    // The first token is good for documents only: it has expired when the layers come.
    const bool late = a.is_blob() && tokens_ == 1 && r.headers.at(1).second == "application/octet-stream";
    if (a.header("authorization") == "Bearer good-" + std::to_string(tokens_.load()) && !late) return;
    r = {.status = 401, .headers = {{"WWW-Authenticate", "Bearer realm=\"" + registry->url() + "/token\""}}};
  });
  auto got = pull({.username = "u", .password = "p"});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(tokens_, 2);
}

TEST_F(PullAuth, Basic) {
  registry->twist([](const Asked& a, Answer& r) {
    if (a.header("authorization") != kBasic)
      r = {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  });
  EXPECT_TRUE(pull({.username = "u", .password = "p"}));
  EXPECT_TRUE(pull({}, "configs: {\"" + registry->host() + "\": {auth: {username: u, password: p}}}"));
  EXPECT_TRUE(pull({}, "configs: {\"*\": {auth: {auth: dTpw}}}"));
  EXPECT_TRUE(pull({.username = "u", .password = "p"}, "configs: {\"*\": {auth: {username: a, password: b}}}"))
      << "the request's credentials come first";
  for (const RegistryAuth& wrong : {RegistryAuth{}, RegistryAuth{.username = "u", .password = "x"}}) {
    auto got = pull(wrong);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::unauthenticated) << got.error().text();
  }
}

// As containerd: half a pair is nobody, and not the node's own credentials either.
TEST_F(PullAuth, HalfAPairIsAskedAnonymously) {
  const std::string configs = "configs: {\"*\": {auth: {username: u, password: p}}}";
  registry->twist([](const Asked& a, Answer& r) {
    if (a.header("authorization") != kBasic)
      r = {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  });
  ASSERT_TRUE(pull({}, configs));
  for (const RegistryAuth& half : {RegistryAuth{.password = "p"}, RegistryAuth{.username = "u"}}) {
    registry->forget();
    auto got = pull(half, configs);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::unauthenticated) << got.error().text();
    EXPECT_EQ(registry->count([](const Asked& a) { return !a.header("authorization").empty(); }), 0u);
  }
  ask_for_tokens(true);  // a token for anybody: a public image
  for (const RegistryAuth& half : {RegistryAuth{.password = "p"}, RegistryAuth{.username = "u"}}) {
    auto got = pull(half);
    EXPECT_TRUE(got) << got.error().text();
    EXPECT_EQ(registry->count([](const Asked& a) { return a.header("authorization").starts_with("Basic"); }), 0u);
  }
}

// The class of CVE-2018-1000007 (curl), CVE-2020-15157 (containerd) and their like.
TEST_F(PullAuth, NothingIsSentToAnotherHost) {
  struct Case {
    const char* name;
    TestRegistry::Twist twist;
    bool pulled;
  };
  auto challenge = [](std::string header) {
    return Answer{.status = 401, .headers = {{"WWW-Authenticate", std::move(header)}}};
  };
  const Case cases[] = {
      {"blobs on another host",
       [&](const Asked& a, Answer& r) {
         if (a.header("authorization") != kBasic) {
           r = challenge("Basic realm=x");
         } else if (a.is_blob()) {
           r = {.status = 307, .headers = {{"Location", elsewhere->url() + a.target}}};
         }
       },
       true},
      {"the other host asks for them",
       [&](const Asked& a, Answer& r) {
         if (a.header("authorization") != kBasic) {
           r = challenge("Basic realm=x");
         } else if (a.is_blob()) {
           r = {.status = 302, .headers = {{"Location", elsewhere->url() + "/deny"}}};
         }
       },
       false},
      {"a token service on another plain host",
       [&](const Asked&, Answer& r) {
         r = challenge("Bearer realm=\"http://localhost" + elsewhere->host().substr(9) + "/token\"");
       },
       false},
      {"a token service that redirects",
       [&](const Asked& a, Answer& r) {
         if (a.target == "/token") {
           r = {.status = 307, .headers = {{"Location", elsewhere->url() + "/token"}}};
         } else {
           r = challenge("Bearer realm=\"" + registry->url() + "/token\"");
         }
       },
       false},
  };
  elsewhere->twist([&](const Asked& a, Answer& r) {
    if (a.target == "/deny") r = challenge("Basic realm=x");
    if (a.target == "/token") r = {.status = 200, .body = R"({"token":"stolen"})"};
  });
  for (const RegistryAuth& auth :
       {RegistryAuth{.username = "u", .password = "p"}, RegistryAuth{.identity_token = "idtoken"}}) {
    for (const auto& c : cases) {
      SCOPED_TRACE(c.name);
      registry->twist(c.twist);
      elsewhere->forget();
      auto got = pull(auth);
      if (auth.identity_token.empty()) {
        EXPECT_EQ(got.has_value(), c.pulled) << (got ? "" : got.error().text());
      }
      for (const auto& a : elsewhere->asked()) {
        EXPECT_EQ(a.header("authorization"), "") << a.method << " " << a.target;
        EXPECT_EQ(a.body, "");
      }
    }
  }
}

TEST_F(PullAuth, AQueryWithASignatureIsInNoMessage) {
  registry->twist([&](const Asked& a, Answer& r) {
    if (a.is_blob()) r = {.status = 307, .headers = {{"Location", elsewhere->url() + "/gone?X-Amz-Signature=secret"}}};
  });
  elsewhere->twist([](const Asked&, Answer& r) { r = {.status = 403, .body = "no"}; });
  auto got = pull({});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::permission_denied);
  EXPECT_EQ(got.error().text().find("secret"), std::string::npos) << got.error().text();
}

}  // namespace
}  // namespace podshim::image::test
