// What a registry asks for when it says 401, and what its token service answers (distribution-spec's "token"
// authentication, RFC 9110 11.6.1). Hostile input gives fewer challenges or an error. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/image/pull_request.h"

namespace podshim::image {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
  std::string parameter(const std::string& name) const {
    auto it = parameters.find(name);
    return it == parameters.end() ? "" : it->second;
  }
  bool operator==(const Challenge&) const = default;
};

// Of all WWW-Authenticate headers joined by ", ". What follows a malformed one is dropped.
std::vector<Challenge> parse_challenges(std::string_view header);

// The token of a JSON answer ("token", else "access_token").
Result<std::string> decode_token(std::string_view text);

// What counts of an AuthConfig, as containerd reads it: a username (with its password), else the identity token, else
// `auth`, whose password is an identity token when its username is empty. A username or a password alone is nobody: the
// registry is asked anonymously, with the node's own credentials as little as with these. Beyond containerd: a username
// without a password does not hide an identity token, and the registry token goes before all. No control characters.
struct Credentials {
  std::string username, password, identity_token, registry_token;
  bool basic() const { return !username.empty() && !password.empty(); }
  bool empty() const { return !basic() && identity_token.empty() && registry_token.empty(); }
};
Result<Credentials> decode_credentials(const RegistryAuth& auth);
std::string basic_authorization(const Credentials& credentials);  // "Basic dTpw"

}  // namespace podshim::image
