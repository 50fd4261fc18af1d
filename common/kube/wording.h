// The API server's words for a bad field, in front of which Reader puts file, line and path:
// "web.yaml:7: spec.type: Unsupported value: "External": supported values: "ClusterIP", ...". Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "common/json.h"

namespace podshim::kube {

inline std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// `value` as it shall be shown: quoted("x") for texts, digits for numbers.
inline Error invalid_value(const json::Reader& r, std::string_view name, const std::string& value,
                           const std::string& why) {
  return r.error(name, "Invalid value: " + value + ": " + why);
}
inline Error forbidden(const json::Reader& r, std::string_view name, const std::string& why) {
  return r.error(name, "Forbidden: " + why);
}
inline Error duplicate_value(const json::Reader& r, std::string_view name, const std::string& value) {
  return r.error(name, "Duplicate value: " + value);
}
inline Error required_value(const json::Reader& r, std::string_view name, const std::string& why = {}) {
  return r.error(name, "Required value" + (why.empty() ? "" : ": " + why));
}

}  // namespace podshim::kube
