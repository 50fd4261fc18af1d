// What every Kubernetes object has: apiVersion, kind, metadata; the names Kubernetes allows; and the list of fields
// that a decoder did not know. Errors name file:line, field and value. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"

namespace podshim::kube {

// "file:line: spec.foo" of every field nobody reads; the caller reports them.
using Unknowns = std::vector<std::string>;
void note_unknown(const json::Reader& reader, Unknowns& unknowns);
// A field that is known, but holds what we do not act on.
void note_unused(const json::Reader& reader, std::string_view name, Unknowns& unknowns);

struct TypeMeta {
  std::string api_version, kind;
  bool operator==(const TypeMeta&) const = default;
};

Result<TypeMeta> decode_type(const json::Reader& object);
// The object must be of this kind and version.
Result<> expect_type(const json::Reader& object, std::string_view api_version, std::string_view kind);

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

// A map of labels under `name`: keys and values checked.
Result<std::map<std::string, std::string>> decode_labels(const json::Reader& reader, std::string_view name);

bool is_dns_label(std::string_view text);       // RFC 1123: a-z 0-9 -, at most 63
bool is_dns_subdomain(std::string_view text);   // labels joined by dots, at most 253
bool is_port_name(std::string_view text);       // at most 15, a-z 0-9 -, with a letter, no "--"
bool is_qualified_name(std::string_view text);  // [dns subdomain/]name: label keys, annotation keys
bool is_label_value(std::string_view text);     // empty, or at most 63 of A-Z a-z 0-9 - _ .

}  // namespace podshim::kube
