// NetworkList: the CNI configuration that is in force. The first *.conflist, *.conf or *.json of the configuration
// directory, by name, as every other runtime does it; a single-plugin .conf becomes a list of one. Parsing is pure.
// Errors name the file and the field. load_network() reads the directory at every call; callers that poll compare
// fingerprint() first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace podshim::cni {

struct Version {
  int major = 0, minor = 0, patch = 0;
  static Result<Version> parse(std::string_view text);
  std::string str() const;
  auto operator<=>(const Version&) const = default;
};

inline constexpr Version kOldest{0, 3, 0};
inline constexpr Version kNewest{1, 1, 0};

struct PluginConfig {
  std::string type;                       // the program's name: no '/'
  std::vector<std::string> capabilities;  // those set to true
  json::Value config;                     // the plugin's object as it stands in the file
};

struct NetworkList {
  std::string name;
  Version version;  // the newest of "cniVersions" that we know, else "cniVersion"
  bool disable_check = false, disable_gc = false;
  std::vector<PluginConfig> plugins;
  std::string source;  // the file
  std::string text;    // what was parsed: kept in the sandbox's record for DEL
};

Result<NetworkList> parse_network(std::string_view text, const std::string& source);
// not_found: the directory is missing or holds no configuration; the text says which. unavailable: a wrong one is in
// force.
Result<NetworkList> load_network(const std::string& dir);
// Changes whenever another file may be in force or a file was written; "" without a directory.
std::string fingerprint(const std::string& dir);

}  // namespace podshim::cni
