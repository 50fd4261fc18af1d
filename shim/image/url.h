// Url: an absolute http or https address, taken apart. No user names and passwords in it: they would end up in logs.
// Pure; any thread. libcurl does the parsing, so that what is checked here is what is asked for later.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::image {

struct Url {
  std::string scheme;  // http or https
  std::string host;    // an IPv6 literal has its brackets
  std::string port;    // always there
  std::string path;    // begins with "/"
  std::string query;   // without "?"

  bool plain() const { return scheme == "http"; }
  std::string authority() const;  // host, and the port when it is not the scheme's own
  std::string origin() const { return scheme + "://" + host + ":" + port; }
  std::string text() const { return scheme + "://" + authority() + path + (query.empty() ? "" : "?" + query); }
  bool operator==(const Url&) const = default;
};

Result<Url> parse_url(std::string_view text);
// What a Location header means on an answer from `base`.
Result<Url> resolve_location(const Url& base, std::string_view location);
std::string query_escape(std::string_view value);

}  // namespace podshim::image
