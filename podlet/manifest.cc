#include "podlet/manifest.h"

#include <algorithm>
#include <cctype>

#include "common/yaml.h"

namespace podshim::podlet {
namespace {

using Reader = json::Reader;
using kube::Unknowns;

struct Kind {
  std::string_view kind;
  Result<ObjectValue> (*decode)(const Reader&, Unknowns&);
  std::vector<std::string_view> words;
};

Result<ObjectValue> decode_slices(const Reader& r, Unknowns& u) {
  std::vector<kube::EndpointSlice> out;
  out.push_back(TRY(kube::decode_endpoint_slice(r, u)));
  return ObjectValue(std::move(out));
}

template <auto Decode>
Result<ObjectValue> as_value(const Reader& r, Unknowns& u) {
  return ObjectValue(TRY(Decode(r, u)));
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> list = {
      {"Pod", as_value<kube::decode_pod>, {"pod", "pods", "po"}},
      {"Deployment", as_value<kube::decode_workload>, {"deployment", "deployments", "deploy"}},
      {"ReplicaSet", as_value<kube::decode_workload>, {"replicaset", "replicasets", "rs"}},
      {"Service", as_value<kube::decode_service>, {"service", "services", "svc"}},
      {"Endpoints", as_value<kube::decode_endpoints>, {"endpoints", "ep"}},
      {"EndpointSlice", decode_slices, {"endpointslice", "endpointslices"}},
      {"ConfigMap", as_value<kube::decode_config_map>, {"configmap", "configmaps", "cm"}},
      {"Secret", as_value<kube::decode_config_map>, {"secret", "secrets"}}};
  return list;
}

// The name as far as it can be read, for errors and for keeping the last good version.
ObjectKey key_of(const json::Value& source, std::string kind) {
  ObjectKey key{.kind = std::move(kind), .name_space = "default"};
  const auto* meta = source.find("metadata");
  if (meta == nullptr) return key;
  if (const auto* n = meta->find("name"); n != nullptr && n->is_string()) key.name = n->as_string();
  if (const auto* n = meta->find("namespace"); n != nullptr && n->is_string()) key.name_space = n->as_string();
  return key;
}

std::string at(const std::string& file, const json::Value& v) {
  return v.line == 0 ? file : file + ":" + std::to_string(v.line);
}

// Error.text() begins with the operation ("invalid web.yaml:3: ..."); a manifest's reader wants file:line first.
std::string problem_text(const Error& e) {
  std::string out = e.subject;
  if (!e.detail.empty()) out += (out.empty() ? "" : ": ") + e.detail;
  return out;
}

bool is_list(std::string_view kind) { return kind == "List" || kind.ends_with("List"); }

}  // namespace

void decode_object(const json::Value& source, const std::string& file, Manifest& out) {
  auto reader = Reader::of(source, "", file);
  if (!reader) {
    out.errors.push_back({.text = problem_text(reader.error())});
    return;
  }
  auto type = kube::decode_type(*reader);
  if (!type) {
    out.errors.push_back({.text = problem_text(type.error())});
    return;
  }
  if (const auto* items = source.find("items"); is_list(type->kind) && items != nullptr && items->is_array()) {
    for (const auto& item : items->as_array()) decode_object(item, file, out);
    return;
  }
  if (type->kind == "Namespace") return;  // namespaces need no making here
  auto kind = std::ranges::find(kinds(), type->kind, &Kind::kind);
  if (kind == kinds().end()) {
    out.warnings.push_back(at(file, source) + ": kind " + type->kind + " (" + type->api_version +
                           ") is not run by podlet; skipped");
    return;
  }
  Unknowns unknowns;
  auto value = kind->decode(*reader, unknowns);
  auto key = key_of(source, type->kind);
  if (!value) {
    out.errors.push_back({.text = problem_text(value.error()), .key = std::move(key)});
    return;
  }
  for (auto& field : unknowns) out.warnings.push_back(std::move(field) + ": is not a known field here, ignored");
  out.objects.push_back(
      {.key = std::move(key), .value = *std::move(value), .source = source, .file = file, .line = source.line});
}

Manifest decode_manifest(std::string_view text, const std::string& file) {
  Manifest out;
  auto documents = yaml::parse_all(text, file);
  if (!documents) {
    out.broken = true;
    out.errors.push_back({.text = problem_text(documents.error())});
    return out;
  }
  for (const auto& document : *documents) decode_object(document, file, out);
  std::vector<ObjectKey> seen;
  std::erase_if(out.objects, [&](const ManifestObject& o) {
    bool twice = std::ranges::find(seen, o.key) != seen.end();
    if (twice)
      out.errors.push_back({.text = at(file, o.source) + ": " + o.key.text() + " is there twice in this file"});
    seen.push_back(o.key);
    return twice;
  });
  return out;
}

std::string kind_of_word(std::string_view word) {
  std::string lower(word.substr(0, word.find('.')));
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& kind : kinds())
    if (std::ranges::find(kind.words, lower) != kind.words.end()) return std::string(kind.kind);
  return "";
}

}  // namespace podshim::podlet
