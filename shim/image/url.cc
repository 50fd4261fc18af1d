#include "shim/image/url.h"

#include <curl/curl.h>

#include <memory>

namespace podshim::image {
namespace {

constexpr std::size_t kMaxUrl = 16UL << 10;

struct UrlFree {
  void operator()(CURLU* u) const { curl_url_cleanup(u); }
};
using UrlPtr = std::unique_ptr<CURLU, UrlFree>;

// Without the query, where signatures and tokens are.
Error bad_url(std::string_view text, const std::string& why) {
  text = text.substr(0, text.find_first_of("?#"));
  return Error::invalid("URL", "'" + std::string(text.substr(0, 200)) + "': " + why);
}

std::string part(CURLU* u, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(u, what, &text, flags) != CURLUE_OK || text == nullptr) return "";
  std::string out = text;
  curl_free(text);
  return out;
}

Result<> set(CURLU* u, std::string_view text) {
  if (text.size() > kMaxUrl) return fail(bad_url(text, "longer than 16 KiB"));
  for (char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return fail(bad_url("", "it has spaces or control characters"));
  if (auto r = curl_url_set(u, CURLUPART_URL, std::string(text).c_str(), CURLU_DISALLOW_USER); r != CURLUE_OK) {
    return fail(bad_url(r == CURLUE_USER_NOT_ALLOWED ? "" : text, curl_url_strerror(r)));
  }
  return {};
}

Result<Url> take_apart(CURLU* u, std::string_view text) {
  Url url{.scheme = part(u, CURLUPART_SCHEME),
          .host = part(u, CURLUPART_HOST),
          .port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT),
          .path = part(u, CURLUPART_PATH),
          .query = part(u, CURLUPART_QUERY)};
  if (url.scheme != "http" && url.scheme != "https") return fail(bad_url(text, "only http and https are known"));
  if (url.host.empty()) return fail(bad_url(text, "it has no host"));
  return url;
}

}  // namespace

std::string Url::authority() const {
  bool usual = port == (plain() ? "80" : "443");
  return usual ? host : host + ":" + port;
}

Result<Url> parse_url(std::string_view text) {
  UrlPtr u(curl_url());
  TRY(set(u.get(), text));
  return take_apart(u.get(), text);
}

Result<Url> resolve_location(const Url& base, std::string_view location) {
  UrlPtr u(curl_url());
  TRY(set(u.get(), base.text()));
  TRY(set(u.get(), location));  // relative to what is there
  return take_apart(u.get(), location);
}

std::string query_escape(std::string_view value) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : value) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                 c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

}  // namespace podshim::image
