#include "podlet/manifest.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "common/yaml.h"

namespace podshim::podlet {
namespace {

using Reader = json::Reader;
using kube::Unknowns;

struct Kind {
  std::string_view kind;
  Result<ObjectValue> (*decode)(const Reader&, Unknowns&);
  std::vector<std::string_view> words;
  std::string_view group = {};  // of the API; "" = core
};

Result<ObjectValue> decode_slices(const Reader& r, Unknowns& u) {
  std::vector<kube::EndpointSlice> out;
  out.push_back(TRY(kube::decode_endpoint_slice(r, u)));
  return ObjectValue(std::move(out));
}

// status is podlet's to write: what a manifest says there is another cluster's.
Result<ObjectValue> decode_own_service(const Reader& r, Unknowns& u) {
  auto out = TRY(kube::decode_service(r, u));
  out.load_balancer_ips.clear();
  return ObjectValue(std::move(out));
}

template <auto Decode>
Result<ObjectValue> as_value(const Reader& r, Unknowns& u) {
  return ObjectValue(TRY(Decode(r, u)));
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> list = {
      {"Pod", as_value<kube::decode_pod>, {"pod", "pods", "po"}},
      {"Deployment", as_value<kube::decode_workload>, {"deployment", "deployments", "deploy"}, "apps"},
      {"ReplicaSet", as_value<kube::decode_workload>, {"replicaset", "replicasets", "rs"}, "apps"},
      {"Service", decode_own_service, {"service", "services", "svc"}},
      {"Endpoints", as_value<kube::decode_endpoints>, {"endpoints", "ep"}},
      {"EndpointSlice", decode_slices, {"endpointslice", "endpointslices"}, "discovery.k8s.io"},
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

const json::Value* own_name_space(const json::Value& source) {
  const auto* meta = source.find("metadata");
  const auto* own = meta == nullptr ? nullptr : meta->find("namespace");
  return own == nullptr || own->is_null() ? nullptr : own;
}

// The object with that namespace, where it names none itself.
json::Value put_into(const json::Value& source, const std::string& name_space) {
  const auto* meta = source.find("metadata");
  if (meta == nullptr || !meta->is_object() || own_name_space(source) != nullptr) return source;
  auto out = source, with = *meta;
  with.set("namespace", name_space);
  out.set("metadata", std::move(with));
  return out;
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

// What a Pod asks for and silently would not get.
void advise(const json::Value& source, const std::string& kind, const std::string& file, Manifest& out) {
  const auto* spec = source.find("spec");
  std::string path = "spec.";
  if (kind != "Pod") {
    const auto* pod = spec == nullptr ? nullptr : spec->find("template");
    spec = pod == nullptr ? nullptr : pod->find("spec");
    path = "spec.template.spec.";
  }
  const auto* volumes = spec == nullptr ? nullptr : spec->find("volumes");
  if (volumes == nullptr || !volumes->is_array()) return;
  for (std::size_t i = 0; i < volumes->as_array().size(); i++) {
    const auto* dir = volumes->as_array()[i].find("emptyDir");
    const auto* medium = dir == nullptr ? nullptr : dir->find("medium");
    if (medium != nullptr && medium->is_string() && medium->as_string() == "Memory")
      out.warnings.push_back(at(file, *medium) + ": " + path + "volumes[" + std::to_string(i) +
                             "].emptyDir.medium: Memory is not supported; the volume is kept on disk");
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_list(std::string_view kind) { return kind == "List" || kind.ends_with("List"); }

}  // namespace

void decode_object(const json::Value& given, const std::string& file, Manifest& out, const std::string& name_space) {
  std::optional<json::Value> put;
  if (!name_space.empty()) put = put_into(given, name_space);
  const auto& source = put ? *put : given;
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
    for (const auto& item : items->as_array()) decode_object(item, file, out, name_space);
    return;
  }
  if (type->kind == "Namespace") return;  // namespaces need no making here
  auto kind = std::ranges::find(kinds(), type->kind, &Kind::kind);
  if (kind == kinds().end()) {
    out.warnings.push_back(at(file, source) + ": kind " + type->kind + " (" + type->api_version +
                           ") is not run by podlet; skipped");
    return;
  }
  auto key = key_of(source, type->kind);
  const auto* own = own_name_space(source);
  if (!name_space.empty() && own != nullptr && own->is_string() && own->as_string() != name_space) {
    out.errors.push_back({.text = at(file, *own) + ": metadata.namespace: the namespace from the provided object \"" +
                                  own->as_string() + "\" does not match the namespace \"" + name_space +
                                  "\"; pass -n " + own->as_string(),
                          .key = std::move(key)});
    return;
  }
  Unknowns unknowns;
  auto value = kind->decode(*reader, unknowns);
  if (!value) {
    out.errors.push_back({.text = problem_text(value.error()), .key = std::move(key)});
    return;
  }
  advise(source, type->kind, file, out);
  for (auto& field : unknowns) out.warnings.push_back(std::move(field) + ": is not a known field here, ignored");
  out.objects.push_back(
      {.key = std::move(key), .value = *std::move(value), .source = source, .file = file, .line = source.line});
}

Manifest decode_manifest(std::string_view text, const std::string& file, const std::string& name_space) {
  Manifest out;
  auto documents = yaml::parse_all(text, file);
  if (!documents) {
    out.broken = true;
    out.errors.push_back({.text = problem_text(documents.error())});
    return out;
  }
  for (const auto& document : *documents) decode_object(document, file, out, name_space);
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
  const std::string small = lower(word.substr(0, word.find('.')));
  for (const auto& kind : kinds())
    if (std::ranges::find(kind.words, small) != kind.words.end()) return std::string(kind.kind);
  return "";
}

std::string resource_name(std::string_view kind, std::string_view name) {
  std::string out = lower(kind);
  auto known = std::ranges::find(kinds(), kind, &Kind::kind);
  if (known != kinds().end() && !known->group.empty()) out += "." + std::string(known->group);
  return out + "/" + std::string(name);
}

}  // namespace podshim::podlet
