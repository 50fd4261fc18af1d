#include "common/kube/object.h"

#include <algorithm>

namespace podshim::kube {
namespace {

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

// The name part of a label key, and a label value.
bool is_label_word(std::string_view text) {
  if (text.empty() || text.size() > 63 || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
  return std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

}  // namespace

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  return std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_dns_subdomain(std::string_view text) {
  if (text.size() > 253) return false;
  for (;;) {
    auto dot = text.find('.');
    if (!is_dns_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_port_name(std::string_view text) {
  return text.size() <= 15 && is_dns_label(text) && text.find("--") == std::string_view::npos &&
         std::ranges::any_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_qualified_name(std::string_view text) {
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return is_label_word(text);
  return is_dns_subdomain(text.substr(0, slash)) && is_label_word(text.substr(slash + 1));
}

bool is_label_value(std::string_view text) { return text.empty() || is_label_word(text); }

void note_unknown(const json::Reader& reader, Unknowns& unknowns) {
  for (const auto* member : reader.unknown()) note_unused(reader, member->first, unknowns);
}

void note_unused(const json::Reader& reader, std::string_view name, Unknowns& unknowns) {
  unknowns.push_back(reader.error(name, "").subject);
}

Result<TypeMeta> decode_type(const json::Reader& object) {
  TypeMeta out;
  out.api_version = TRY(object.string("apiVersion"));
  out.kind = TRY(object.string("kind"));
  return out;
}

Result<> expect_type(const json::Reader& object, std::string_view api_version, std::string_view kind) {
  auto type = TRY(decode_type(object));
  if (type.kind != kind) return fail(object.error("kind", quoted(type.kind) + " is not " + std::string(kind)));
  if (type.api_version != api_version)
    return fail(object.error("apiVersion", quoted(type.api_version) + " is not " + std::string(api_version)));
  return {};
}

Result<std::map<std::string, std::string>> decode_labels(const json::Reader& reader, std::string_view name) {
  auto labels = TRY(reader.string_map(name));
  for (const auto& [key, value] : labels) {
    if (!is_qualified_name(key)) return fail(reader.error(name, quoted(key) + " is not a label key"));
    if (!is_label_value(value))
      return fail(reader.error(name, "label " + key + ": " + quoted(value) + " is not a label value"));
  }
  return labels;
}

Result<ObjectMeta> decode_meta(const json::Reader& object, Unknowns& unknowns) {
  auto r = TRY(object.object("metadata"));
  ObjectMeta meta;
  meta.name = TRY(r.string("name"));
  if (!is_dns_subdomain(meta.name)) return fail(r.error("name", quoted(meta.name) + " is not a DNS name (RFC 1123)"));
  meta.name_space = TRY(r.string_or("namespace", meta.name_space));
  if (!is_dns_label(meta.name_space))
    return fail(r.error("namespace", quoted(meta.name_space) + " is not a DNS label (RFC 1123)"));
  meta.uid = TRY(r.string_or("uid", ""));
  meta.labels = TRY(decode_labels(r, "labels"));
  meta.annotations = TRY(r.string_map("annotations"));
  for (const auto& [key, value] : meta.annotations)
    if (!is_qualified_name(key)) return fail(r.error("annotations", quoted(key) + " is not an annotation key"));
  // What an API server keeps for itself; nothing here acts on it.
  for (const char* name : {"resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences",
                           "selfLink", "generateName"})
    r.ignore(name);
  note_unknown(r, unknowns);
  return meta;
}

json::Value encode_meta(const ObjectMeta& meta) {
  auto out = json::Value::object();
  out.set("name", meta.name).set("namespace", meta.name_space);
  if (!meta.uid.empty()) out.set("uid", meta.uid);
  if (!meta.labels.empty()) out.set("labels", json::Value::string_map(meta.labels));
  if (!meta.annotations.empty()) out.set("annotations", json::Value::string_map(meta.annotations));
  return out;
}

}  // namespace podshim::kube
