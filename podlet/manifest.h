// Text of a manifest file -> objects. Multi-document YAML or JSON, kind List opened. What is not understood is said
// with file and line: an unknown kind or field is a warning; a bad value is an error of its object only, the rest goes
// on; only a text that is no YAML at all fails as a whole. Pure; any thread.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/kube/config_map.h"
#include "common/kube/endpoints.h"
#include "common/kube/pod.h"
#include "common/kube/workload.h"

namespace podshim::podlet {

// "Deployment/default/web"
struct ObjectKey {
  std::string kind, name_space, name;
  std::string text() const { return kind + "/" + name_space + "/" + name; }
  auto operator<=>(const ObjectKey&) const = default;
};

// Endpoints decode to slices; an EndpointSlice is a list of one.
using ObjectValue =
    std::variant<kube::Pod, kube::Workload, kube::Service, std::vector<kube::EndpointSlice>, kube::ConfigMap>;

struct ManifestObject {
  ObjectKey key;
  ObjectValue value;
  json::Value source;  // as given
  std::string file;
  int line = 0;
};

struct Problem {
  std::string text;  // "web.yaml:12: spec.replicas: ..."
  ObjectKey key;     // name empty when it could not be read
};

struct Manifest {
  std::vector<ManifestObject> objects;
  std::vector<std::string> warnings;
  std::vector<Problem> errors;
  bool broken = false;  // not YAML: nothing is known about the file's objects
};

// `name_space` is kubectl's -n: objects without a namespace get it, those of another are errors; "" = none is given.
Manifest decode_manifest(std::string_view text, const std::string& file, const std::string& name_space = {});
// One object, as a record or a List item holds it.
void decode_object(const json::Value& source, const std::string& file, Manifest& out,
                   const std::string& name_space = {});

// "pod", "po", "deployments.apps", "svc" -> "Pod", ...; "" when it is none that podlet knows.
std::string kind_of_word(std::string_view word);
// What kubectl's `get -o name` prints of an object: "pod/web", "deployment.apps/web".
std::string resource_name(std::string_view kind, std::string_view name);

}  // namespace podshim::podlet
