// YAML documents as json::Value with source lines (yaml-cpp is seen only in yaml.cc).
// Plain scalars follow the YAML 1.2 core schema as Kubernetes users expect: null, true/false, integers (also 0x, 0o),
// floats; quoted ones are strings. Anchors, aliases and merge keys (<<) work; a document of more than 1,000,000 nodes
// is refused (alias bombs), as are duplicate keys. Errors carry file:line. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"

namespace podshim::yaml {

// All documents of a stream, empty ones left out.
Result<std::vector<json::Value>> parse_all(std::string_view text, const std::string& file);

// A value as YAML text, keys in order; strings are quoted where they would read as something else.
std::string dump(const json::Value& value);

}  // namespace podshim::yaml
