#include "common/kube/workload.h"

#include <algorithm>
#include <charconv>

#include "common/kube/choice.h"

namespace podshim::kube {
namespace {

Result<CountOrPercent> decode_count(const json::Reader& r, const char* name, CountOrPercent fallback) {
  const auto* value = r.get(name);
  if (value == nullptr) return fallback;
  if (value->is_integer() && value->as_integer() >= 0 && value->as_integer() <= INT32_MAX)
    return CountOrPercent{.number = static_cast<int>(value->as_integer())};
  if (value->is_string() && value->as_string().ends_with('%')) {
    const auto& text = value->as_string();
    CountOrPercent out{.percent = true};
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size() - 1, out.number);
    if (ec == std::errc{} && end == text.data() + text.size() - 1 && out.number >= 0 && out.number <= 1000) return out;
  }
  return fail(r.error(name, json::dump(*value) + " is neither a number nor a percentage"));
}

Result<> decode_strategy(const json::Reader& r, Workload& w, Unknowns& unknowns) {
  static constexpr Choice<bool> kTypes[] = {{"RollingUpdate", false}, {"Recreate", true}};
  w.recreate = TRY(choose(r, "type", kTypes));
  if (auto rolling = TRY(r.opt_object("rollingUpdate"))) {
    if (w.recreate) return fail(r.error("rollingUpdate", "does not go with type Recreate"));
    w.max_surge = TRY(decode_count(*rolling, "maxSurge", w.max_surge));
    w.max_unavailable = TRY(decode_count(*rolling, "maxUnavailable", w.max_unavailable));
    if (w.max_surge.number == 0 && w.max_unavailable.number == 0)
      return fail(rolling->error("maxUnavailable", "cannot be 0 when maxSurge is 0"));
    note_unknown(*rolling, unknowns);
  }
  note_unknown(r, unknowns);
  return {};
}

Result<> decode_template(const json::Reader& spec, Workload& w, Unknowns& unknowns) {
  auto r = TRY(spec.object("template"));
  if (auto meta = TRY(r.opt_object("metadata"))) {
    w.template_labels = TRY(decode_labels(*meta, "labels"));
    w.template_annotations = TRY(meta->string_map("annotations"));
    for (const char* name : {"creationTimestamp", "name", "namespace", "generateName"}) meta->ignore(name);
    note_unknown(*meta, unknowns);
  }
  auto pod = TRY(r.object("spec"));
  w.template_spec = TRY(decode_pod_spec(pod, unknowns));
  if (w.template_spec.restart_policy != RestartPolicy::always)
    return fail(pod.error("restartPolicy", "can only be Always in a template"));
  note_unknown(r, unknowns);
  w.template_source = r.value();
  w.template_hash = short_hash(json::dump(r.value()));
  return {};
}

}  // namespace

int CountOrPercent::of(int replicas, bool round_up) const {
  if (!percent) return number;
  auto product = static_cast<std::int64_t>(number) * replicas;
  return static_cast<int>(round_up ? (product + 99) / 100 : product / 100);
}

std::string_view workload_kind_text(WorkloadKind kind) {
  return kind == WorkloadKind::deployment ? "Deployment" : "ReplicaSet";
}

std::string short_hash(std::string_view text, std::size_t characters) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";  // no vowels: no words
  std::uint64_t h = 0xcbf29ce484222325;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3;
  std::string out;
  for (std::size_t i = 0; i < characters; i++) {
    out += kAlphabet[h % kAlphabet.size()];
    h /= kAlphabet.size();
  }
  return out;
}

Result<Workload> decode_workload(const json::Reader& object, Unknowns& unknowns) {
  Workload w;
  auto type = TRY(decode_type(object));
  w.kind = type.kind == "ReplicaSet" ? WorkloadKind::replica_set : WorkloadKind::deployment;
  TRY(expect_type(object, "apps/v1", workload_kind_text(w.kind)));
  w.meta = TRY(decode_meta(object, unknowns));
  auto spec = TRY(object.object("spec"));
  w.replicas = static_cast<int>(TRY(spec.integer_or("replicas", 1, 0, 100'000)));
  TRY(decode_template(spec, w, unknowns));
  auto selector = TRY(spec.object("selector"));
  w.selector = TRY(decode_selector(selector, unknowns));
  if (w.selector.empty()) return fail(spec.error("selector", "is empty"));
  if (!w.selector.matches(w.template_labels))
    return fail(spec.error("selector", "does not match the template's labels " + labels_text(w.template_labels)));
  w.min_ready = std::chrono::seconds(TRY(spec.integer_or("minReadySeconds", 0, 0, INT32_MAX)));
  if (w.kind == WorkloadKind::deployment) {
    if (auto strategy = TRY(spec.opt_object("strategy"))) TRY(decode_strategy(*strategy, w, unknowns));
    w.paused = TRY(spec.boolean_or("paused", false));
    spec.ignore("revisionHistoryLimit");
    spec.ignore("progressDeadlineSeconds");
  }
  note_unknown(spec, unknowns);
  object.ignore("status");
  note_unknown(object, unknowns);
  return w;
}

}  // namespace podshim::kube
