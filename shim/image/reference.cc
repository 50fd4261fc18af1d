#include "shim/image/reference.h"

#include <algorithm>

#include "shim/image/digest.h"

namespace podshim::image {
namespace {

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }
bool all_digits(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'
bool is_path_component(std::string_view s) {
  std::size_t i = 0;
  auto word = [&] {
    std::size_t start = i;
    while (i < s.size() && is_lower_alnum(s[i])) i++;
    return i > start;
  };
  if (!word()) return false;
  while (i < s.size()) {
    if (s[i] == '.') {
      i++;
    } else if (s[i] == '_') {
      i += s.substr(i).starts_with("__") ? 2 : 1;
    } else if (s[i] == '-') {
      while (i < s.size() && s[i] == '-') i++;
    } else {
      return false;
    }
    if (!word()) return false;
  }
  return true;
}

bool is_host_label(std::string_view s) {
  return !s.empty() && is_alnum(s.front()) && is_alnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_domain(std::string_view s) {
  if (s.starts_with('[')) {  // an IPv6 literal
    auto end = s.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    for (char c : s.substr(1, end - 1)) {
      if (!(is_alnum(c) && (c <= '9' || (c | 0x20) <= 'f')) && c != ':' && c != '.') return false;
    }
    s = s.substr(end + 1);
    return s.empty() || (s.front() == ':' && all_digits(s.substr(1)));
  }
  if (auto colon = s.find(':'); colon != std::string_view::npos) {
    if (!all_digits(s.substr(colon + 1))) return false;
    s = s.substr(0, colon);
  }
  for (;;) {
    auto dot = s.find('.');
    if (!is_host_label(s.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    s = s.substr(dot + 1);
  }
}

bool is_tag(std::string_view s) {
  auto word = [](char c) { return is_alnum(c) || c == '_'; };
  return !s.empty() && s.size() <= 128 && word(s.front()) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

// The first part is a host only when it looks like one: "foo/bar" is docker.io/foo/bar.
void split_domain(std::string_view name, Reference* out) {
  auto slash = name.find('/');
  std::string_view first = name.substr(0, slash);
  bool host = slash != std::string_view::npos &&
              (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
               std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
  out->domain = host ? std::string(first) : "docker.io";
  out->path = host ? std::string(name.substr(slash + 1)) : std::string(name);
  if (out->domain == "index.docker.io") out->domain = "docker.io";
  if (out->domain == "docker.io" && out->path.find('/') == std::string::npos) out->path = "library/" + out->path;
}

bool is_path(std::string_view s) {
  for (;;) {
    auto slash = s.find('/');
    if (!is_path_component(s.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    s = s.substr(slash + 1);
  }
}

}  // namespace

Result<Reference> parse_reference(std::string_view text) {
  auto bad = [&](std::string why) {
    return fail(Error::invalid("image reference", "'" + std::string(text) + "': " + why));
  };
  Reference ref;
  std::string_view name = text;
  if (auto at = name.find('@'); at != std::string_view::npos) {
    ref.digest = TRY(Digest::parse(name.substr(at + 1))).text();
    name = name.substr(0, at);
  }
  auto colon = name.rfind(':');
  if (colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos) {
    ref.tag = name.substr(colon + 1);
    if (!is_tag(ref.tag)) return bad("the tag is not up to 128 letters, digits, '_', '.', '-'");
    name = name.substr(0, colon);
  }
  if (name.empty()) return bad("it has no name");
  if (name.size() == 64 &&
      std::all_of(name.begin(), name.end(), [](char c) { return is_lower_alnum(c) && c <= 'f'; })) {
    return bad("64 hex digits are an image id, not a name");
  }
  split_domain(name, &ref);
  if (!is_domain(ref.domain)) return bad("'" + ref.domain + "' is not a registry host");
  if (!is_path(ref.path)) return bad("a name is lower-case letters, digits and '.', '_', '-' between them");
  if (ref.repository().size() > 255) return bad("the name is longer than 255 characters");
  if (!ref.digest.empty()) {
    ref.tag.clear();
  } else if (ref.tag.empty()) {
    ref.tag = "latest";
  }
  return ref;
}

}  // namespace podshim::image
