// ConfigMap and Secret (core/v1) as one value: keys and bytes. Pure; any thread.
#pragma once

#include <map>
#include <string>

#include "common/kube/object.h"

namespace podshim::kube {

struct ConfigMap {
  bool secret = false;
  ObjectMeta meta;
  std::map<std::string, std::string> data;  // decoded bytes
  bool operator==(const ConfigMap&) const = default;
};

Result<ConfigMap> decode_config_map(const json::Reader& object, Unknowns& unknowns);  // kind ConfigMap or Secret
Result<std::string> decode_base64(std::string_view text);

}  // namespace podshim::kube
