// WWW-Authenticate, tokens, AuthConfig.
#include "shim/image/challenge.h"

#include <gtest/gtest.h>

namespace podshim::image {
namespace {

std::string show(const std::vector<Challenge>& challenges) {
  std::string out;
  for (const auto& c : challenges) {
    out += c.scheme + "{";
    for (const auto& [name, value] : c.parameters) out += name + "=" + value + ";";
    out += "}";
  }
  return out;
}

TEST(Challenges, Parse) {
  struct Case {
    const char *header, *want;
  };
  const Case cases[] = {
      {"", ""},
      {R"(Bearer realm="https://auth.a.io/token",service="reg",scope="repository:a/b:pull,push")",
       "bearer{realm=https://auth.a.io/token;scope=repository:a/b:pull,push;service=reg;}"},
      {R"(Basic realm="a")", "basic{realm=a;}"},
      {R"(Basic realm="a", Bearer realm="b", service=c)", "basic{realm=a;}bearer{realm=b;service=c;}"},
      {R"(Negotiate, Basic realm="x")", "negotiate{}basic{realm=x;}"},
      {R"(BEARER  Realm = "a\"b" , SERVICE = c)", "bearer{realm=a\"b;service=c;}"},
      {",, Basic realm=x ,,", "basic{realm=x;}"},
      {R"(Bearer realm="open)", ""},
      {R"(Bearer realm="a" junk)", ""},
      {R"(Basic realm="a", =x)", "basic{realm=a;}"},
      {R"(Bearer realm="a",realm="b")", "bearer{realm=a;}"},
      {"Basic abcdef==", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(show(parse_challenges(c.header)), c.want) << c.header;
  EXPECT_EQ(parse_challenges(std::string(20000, 'a')).size(), 0u);
  std::string many;
  for (int i = 0; i < 100; i++) many += "Basic realm=x, ";
  EXPECT_LE(parse_challenges(many).size(), 16u);
}

TEST(Token, Decode) {
  struct Case {
    const char *text, *want;
  };
  const Case cases[] = {
      {R"({"token":"abc"})", "abc"},
      {R"({"access_token":"def","expires_in":300})", "def"},
      {R"({"token":"","access_token":"def"})", "def"},
      {R"({})", ""},
      {R"({"token":"a\r\nX-Evil: 1"})", ""},
      {R"({"token":"a b"})", ""},
      {R"({"token":1})", ""},
      {"<html>", ""},
  };
  for (const auto& c : cases) {
    auto got = decode_token(c.text);
    EXPECT_EQ(got ? *got : "", c.want) << c.text;
  }
}

TEST(Credentials, OfARequest) {
  struct Case {
    const char* name;
    RegistryAuth auth;
    std::string want;  // user/password/identity token and whether it can be Basic, or "" = refused
  };
  const Case cases[] = {
      {"plain", {.username = "u", .password = "p"}, "u/p/ basic"},
      {"base64", {.auth = "dTpwOnE="}, "u/p:q/ basic"},
      {"base64 without padding", {.auth = "dTpwOnE"}, "u/p:q/ basic"},
      {"with NUL at the end", {.auth = "dTpwAAA="}, "u/p/ basic"},
      {"plain wins", {.username = "a", .password = "b", .auth = "dTpw", .identity_token = "i"}, "a/b/ basic"},
      {"then the identity token", {.auth = "***", .identity_token = "i"}, "//i"},
      {"a user without a password", {.username = "u"}, "u//"},
      {"a user without a password, and base64", {.username = "u", .auth = "dTpw"}, "u//"},
      {"a user without a password, and a token", {.username = "u", .identity_token = "i"}, "//i"},
      {"a password without a user", {.password = "p"}, "//"},
      {"a password without a user, and base64", {.password = "x", .auth = "dTpw"}, "u/p/ basic"},
      {"base64 without a user is a token", {.auth = "OnA="}, "//p"},
      {"base64 without a password", {.auth = "dTo="}, "u//"},
      {"no colon", {.auth = "dXA="}, ""},
      {"not base64", {.auth = "***"}, ""},
      {"header injection", {.username = "u", .password = "p\r\nX: y"}, ""},
      {"a colon in the name", {.username = "u:v", .password = "p"}, ""},
  };
  for (const auto& c : cases) {
    auto got = decode_credentials(c.auth);
    EXPECT_EQ(
        got ? got->username + "/" + got->password + "/" + got->identity_token + (got->basic() ? " basic" : "") : "",
        c.want)
        << c.name;
    EXPECT_TRUE(got || got.error().text().find("dXA") == std::string::npos) << "a secret in a message";
  }
  EXPECT_TRUE(decode_credentials({}).value().empty());
  EXPECT_TRUE(RegistryAuth{}.empty());
  for (const RegistryAuth& some :
       {RegistryAuth{.username = "u"}, RegistryAuth{.password = "p"}, RegistryAuth{.auth = "a"},
        RegistryAuth{.identity_token = "i"}, RegistryAuth{.registry_token = "r"}})
    EXPECT_FALSE(some.empty());
  EXPECT_EQ(basic_authorization({.username = "Aladdin", .password = "open sesame"}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

}  // namespace
}  // namespace podshim::image
