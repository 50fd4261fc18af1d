#include "common/kube/selector.h"

#include <algorithm>

#include "common/kube/choice.h"

namespace podshim::kube {

bool Requirement::matches(const Labels& labels) const {
  auto found = labels.find(key);
  bool present = found != labels.end();
  bool listed = present && std::ranges::find(values, found->second) != values.end();
  switch (op) {
    case Op::in:
      return listed;
    case Op::not_in:
      return !listed;  // an absent key is not in any list (Kubernetes: labels.Requirement)
    case Op::exists:
      return present;
    case Op::does_not_exist:
      return !present;
  }
  return false;
}

bool has_labels(const Labels& labels, const Labels& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& pair) {
    auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

bool Selector::matches(const Labels& other) const {
  return has_labels(other, labels) && std::ranges::all_of(expressions, [&](const auto& e) { return e.matches(other); });
}

std::string labels_text(const Labels& labels) {
  if (labels.empty()) return "<none>";
  std::string out;
  for (const auto& [key, value] : labels) out += (out.empty() ? "" : ",") + key + "=" + value;
  return out;
}

namespace {

constexpr Choice<Requirement::Op> kOps[] = {{"In", Requirement::Op::in},
                                            {"NotIn", Requirement::Op::not_in},
                                            {"Exists", Requirement::Op::exists},
                                            {"DoesNotExist", Requirement::Op::does_not_exist}};

Result<Requirement> decode_requirement(const json::Reader& r, Unknowns& unknowns) {
  Requirement out;
  out.key = TRY(r.string("key"));
  if (!is_qualified_name(out.key)) return fail(r.error("key", "\"" + out.key + "\" is not a label key"));
  if (!r.has("operator")) return fail(r.error("operator", "is missing"));
  out.op = TRY(choose(r, "operator", kOps));
  out.values = TRY(r.strings("values"));
  bool wants_values = out.op == Requirement::Op::in || out.op == Requirement::Op::not_in;
  if (wants_values == out.values.empty())
    return fail(
        r.error("values", wants_values ? "is empty; In and NotIn need values" : "must be empty with this operator"));
  for (const auto& v : out.values)
    if (!is_label_value(v)) return fail(r.error("values", "\"" + v + "\" is not a label value"));
  note_unknown(r, unknowns);
  return out;
}

}  // namespace

Result<Selector> decode_selector(const json::Reader& reader, Unknowns& unknowns) {
  Selector out;
  out.labels = TRY(decode_labels(reader, "matchLabels"));
  for (const auto& r : TRY(reader.objects("matchExpressions")))
    out.expressions.push_back(TRY(decode_requirement(r, unknowns)));
  note_unknown(reader, unknowns);
  return out;
}

}  // namespace podshim::kube
