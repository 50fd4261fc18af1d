// Label selectors (metav1.LabelSelector): matchLabels and matchExpressions, ANDed. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/kube/object.h"

namespace podshim::kube {

using Labels = std::map<std::string, std::string>;

struct Requirement {
  enum class Op { in, not_in, exists, does_not_exist };
  std::string key;
  Op op = Op::in;
  std::vector<std::string> values;
  bool matches(const Labels& labels) const;
  bool operator==(const Requirement&) const = default;
};

struct Selector {
  Labels labels;
  std::vector<Requirement> expressions;
  bool empty() const { return labels.empty() && expressions.empty(); }
  bool matches(const Labels& other) const;
  bool operator==(const Selector&) const = default;
};

// Every pair of `wanted` is in `labels`; a Service's selector.
bool has_labels(const Labels& labels, const Labels& wanted);
std::string labels_text(const Labels& labels);  // "app=web,tier=front", "<none>" when empty

Result<Selector> decode_selector(const json::Reader& reader, Unknowns& unknowns);

}  // namespace podshim::kube
