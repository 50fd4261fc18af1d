#include "shim/image/challenge.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/json.h"

namespace podshim::image {
namespace {

constexpr std::size_t kMaxHeader = 16UL << 10, kMaxChallenges = 16, kMaxParameters = 64, kMaxToken = 64UL << 10;

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool has_control(std::string_view s) {
  return std::any_of(s.begin(), s.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool end() const { return at_ == text_.size(); }
  bool at(char c) const { return !end() && text_[at_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    at_++;
    return true;
  }
  void blanks() {
    while (at(' ') || at('\t')) at_++;
  }
  void commas() {
    for (blanks(); take(','); blanks()) {
    }
  }
  std::string token() {
    std::size_t from = at_;
    while (!end() && is_token_char(text_[at_])) at_++;
    return std::string(text_.substr(from, at_ - from));
  }
  bool quoted(std::string* out) {
    if (!take('"')) return false;
    for (; !end(); at_++) {
      if (text_[at_] == '"') {
        at_++;
        return true;
      }
      if (text_[at_] == '\\' && ++at_ == text_.size()) return false;
      *out += text_[at_];
    }
    return false;
  }
  std::size_t mark() const { return at_; }
  void back(std::size_t mark) { at_ = mark; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// name=value, or nothing: then the scanner is where it was, at the next scheme.
bool scan_parameter(Scanner& in, std::string* name, std::string* value, bool* malformed) {
  const std::size_t from = in.mark();
  *name = lower(in.token());
  in.blanks();
  if (name->empty() || !in.take('=')) {
    in.back(from);
    return false;
  }
  in.blanks();
  if (in.at('"')) {
    *malformed = !in.quoted(value);
  } else {
    *value = in.token();
  }
  return !*malformed;
}

Result<std::string> decode_base64(std::string text) {
  while (text.size() % 4 != 0) text += '=';  // some clients leave the padding out
  std::string out(text.size() / 4 * 3, '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return fail(Error::invalid("auth", "it is not base64"));
  out.resize(static_cast<std::size_t>(size));
  for (auto it = text.rbegin(); it != text.rend() && *it == '=' && !out.empty(); ++it) out.pop_back();
  return out;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> out;
  if (header.size() > kMaxHeader) return out;
  Scanner in(header);
  in.commas();
  while (!in.end() && out.size() < kMaxChallenges) {
    Challenge challenge{.scheme = lower(in.token())};
    if (challenge.scheme.empty()) return out;
    if (!in.end() && !in.at(' ') && !in.at(',')) return out;
    in.blanks();
    for (std::size_t n = 0; n < kMaxParameters; n++) {
      std::string name, value;
      bool malformed = false;
      if (!scan_parameter(in, &name, &value, &malformed)) {
        if (malformed) return out;
        break;
      }
      challenge.parameters.emplace(std::move(name), std::move(value));
      in.blanks();
      if (!in.end() && !in.at(',')) return out;
      in.commas();
    }
    out.push_back(std::move(challenge));
    in.commas();
  }
  return out;
}

Result<std::string> decode_token(std::string_view text) {
  json::Value document = TRY(json::parse(text));
  json::Reader r = TRY(json::Reader::of(document));
  std::string token = TRY(r.string_or("token", ""));
  if (token.empty()) token = TRY(r.string_or("access_token", ""));
  if (token.empty()) return fail(Error::invalid("token", "there is none in the answer"));
  if (token.size() > kMaxToken || has_control(token) || token.find(' ') != std::string::npos)
    return fail(Error::invalid("token", "it cannot stand in a header"));
  return token;
}

Result<Credentials> decode_credentials(const RegistryAuth& auth) {
  Credentials out{.registry_token = auth.registry_token};
  if (!auth.username.empty() && (!auth.password.empty() || auth.identity_token.empty())) {
    out.username = auth.username;
    out.password = auth.password;
  } else if (!auth.identity_token.empty()) {
    out.identity_token = auth.identity_token;
  } else if (!auth.auth.empty()) {
    std::string pair = TRY(decode_base64(auth.auth));
    auto colon = pair.find(':');
    if (colon == std::string::npos) return fail(Error::invalid("auth", "it is not base64 of username:password"));
    out.username = pair.substr(0, colon);
    out.password = pair.substr(colon + 1);
    while (out.password.ends_with('\0')) out.password.pop_back();
    if (out.username.empty()) out.identity_token = std::exchange(out.password, {});
  }
  if (out.username.find(':') != std::string::npos) return fail(Error::invalid("username", "it has a ':'"));
  for (const auto* text : {&out.username, &out.password, &out.identity_token, &out.registry_token})
    if (text->size() > kMaxToken || has_control(*text))
      return fail(Error::invalid("credentials", "too long, or with control characters"));
  return out;
}

std::string basic_authorization(const Credentials& credentials) {
  std::string pair = credentials.username + ":" + credentials.password;
  std::string out((pair.size() + 2) / 3 * 4 + 1, '\0');  // the library writes a NUL behind it
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(pair.data()), static_cast<int>(pair.size()));
  out.resize(static_cast<std::size_t>(size));
  return "Basic " + out;
}

}  // namespace podshim::image
