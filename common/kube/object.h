// What every Kubernetes object has: apiVersion, kind, metadata; and the list of fields that a decoder did not know.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/json.h"

namespace podshim::kube {

// "file:line: spec.foo" of every field nobody reads; the caller reports them.
using Unknowns = std::vector<std::string>;
void note_unknown(const json::Reader& reader, Unknowns& unknowns);

struct ObjectMeta {
  std::string name;
  std::string name_space = "default";
  std::string uid;
  std::map<std::string, std::string> labels, annotations;
  bool operator==(const ObjectMeta&) const = default;
  std::string key() const { return name_space + "/" + name; }
};

// Checks names and labels as Kubernetes does (RFC 1123 names, label syntax).
Result<ObjectMeta> decode_meta(const json::Reader& object, Unknowns& unknowns);
json::Value encode_meta(const ObjectMeta& meta);

}  // namespace podshim::kube
