// Any text as what a registry or an administrator says: challenges, tokens, addresses, registries.yaml, credentials. A
// value or an error; an address that was taken is one that is asked again the same way, and never one of another kind.
#include <cstdint>
#include <cstdlib>

#include "shim/image/challenge.h"
#include "shim/image/registries.h"

using namespace podshim;
using namespace podshim::image;

static void must(bool ok) {
  if (!ok) std::abort();
}

static void check(const Url& url) {
  must(url.scheme == "http" || url.scheme == "https");
  must(!url.host.empty() && url.text().find_first_of("\r\n ") == std::string::npos);
  auto again = parse_url(url.text());
  must(again && again->origin() == url.origin());
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& challenge : parse_challenges(text)) {
    must(!challenge.scheme.empty());
    if (auto realm = parse_url(challenge.parameter("realm"))) check(*realm);
  }
  if (auto token = decode_token(text)) must(token->find_first_of("\r\n ") == std::string::npos);
  static const Url base = parse_url("https://a.example.com/v2/x").value();
  if (auto next = resolve_location(base, text)) check(*next);
  if (auto credentials = decode_credentials({.auth = std::string(text)}))
    must(basic_authorization(*credentials).find_first_of("\r\n") == std::string::npos);
  if (auto registries = decode_registries(text, "f")) {
    static const Reference image = parse_reference("docker.io/library/busybox:1").value();
    if (auto endpoints = endpoints_of(*registries, image, {})) {
      for (const auto& endpoint : *endpoints) check(endpoint.base);
    }
  }
  return 0;
}
