// Desired objects -> Pods: Pods of their own, and those of Deployments and ReplicaSets.
#include <algorithm>

#include "common/ids.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "podlet/node.h"

namespace podshim::podlet {
namespace {

std::string new_uid() {
  auto hex = random_hex(16);
  hex[12] = '4';  // version and variant of a random UUID (RFC 4122)
  hex[16] = "89ab"[hex[16] % 4];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

const json::Value* member(const json::Value& v, std::string_view name) { return v.find(name); }

// What makes a Pod another Pod: its spec. Labels and annotations change in place.
std::string spec_hash(const json::Value& source) {
  const auto* spec = member(source, "spec");
  return kube::short_hash(spec == nullptr ? "" : json::dump(*spec));
}

json::Value pod_source(const kube::ObjectMeta& meta, const json::Value& spec) {
  json::Value out;
  out.set("apiVersion", "v1").set("kind", "Pod").set("metadata", kube::encode_meta(meta)).set("spec", spec);
  return out;
}

}  // namespace

void Node::take_objects() {
  rescan_ = false;
  auto report = source_.scan();
  ObjectKey files{.kind = "File", .name_space = "", .name = source_.directory()};
  for (const auto& text : report.errors) event(files, true, "BadManifest", text);
  for (const auto& text : report.warnings) event(files, true, "UnknownField", text);
  if (!report.changed && !draining_) return;
  workloads_dirty_ = true;
  services_dirty_ = true;
  allocate_services();
  sync_pod_objects();
}

void Node::add_pod(kube::Pod pod, json::Value source, std::string owner, std::string hash) {
  PodRecord record{.uid = new_uid(),
                   .pod = std::move(pod),
                   .source = std::move(source),
                   .owner = std::move(owner),
                   .template_hash = std::move(hash),
                   .created = clock_.now()};
  record.pod.meta.uid = record.uid;
  record.grace = record.pod.spec.grace;
  auto& entry = pods_[record.uid];
  entry.record = std::move(record);
  entry.seen.known = true;  // a new uid: nothing of it can be there yet
  save(entry);
}

void Node::sync_pod_objects() {
  std::map<ObjectKey, PodEntry*> own;
  for (auto& [uid, entry] : pods_)
    if (entry.record.owner.empty() && !entry.record.deleted) own[entry.key()] = &entry;
  for (auto& [key, entry] : own) {
    auto wanted = objects().find(key);
    if (wanted == objects().end() && source_.incomplete() && !draining_) {
      continue;  // what nobody could read may declare it
    } else if (wanted == objects().end() || draining_) {
      delete_pod(entry->record.uid, std::nullopt, "it is no longer declared");
    } else if (spec_hash(wanted->second.source) != entry->record.template_hash) {
      event(key, false, "SpecChanged", "the spec has changed: the Pod is made anew");
      delete_pod(entry->record.uid, std::nullopt, "its spec has changed");
    } else if (const auto& pod = std::get<kube::Pod>(wanted->second.value);
               pod.meta.labels != entry->record.pod.meta.labels ||
               pod.meta.annotations != entry->record.pod.meta.annotations) {
      changed_backends_.push_back(entry);
      services_dirty_ = true;  // it may leave a Service that it matched
      entry->record.pod.meta.labels = pod.meta.labels;
      entry->record.pod.meta.annotations = pod.meta.annotations;
      entry->record.source = wanted->second.source;
      save(*entry);
    }
  }
  if (draining_) return;
  for (const auto& [key, object] : objects()) {
    const auto* pod = std::get_if<kube::Pod>(&object.value);
    if (pod == nullptr) continue;
    // The former Pod of that name has to be gone: two of one name would share a log directory and a hostname.
    bool there = std::ranges::any_of(pods_, [&](const auto& e) { return e.second.key() == key; });
    if (!there) add_pod(*pod, object.source, "", spec_hash(object.source));
  }
}

std::vector<OwnedPod> Node::owned(const std::string& owner) const {
  std::vector<OwnedPod> out;
  for (const auto& [uid, e] : pods_) {
    if (e.record.owner != owner) continue;
    bool ended = e.status.phase == PodPhase::succeeded || e.status.phase == PodPhase::failed;
    out.push_back({.uid = uid,
                   .template_hash = e.record.template_hash,
                   .running = e.status.phase == PodPhase::running,
                   .ready_since = e.ready_since,
                   .ended = ended,
                   .deleting = e.record.deleted.has_value(),
                   .created = e.record.created});
  }
  return out;
}

void Node::sync_workload(const kube::Workload& w, const json::Value& template_source) {
  ObjectKey key{
      .kind = std::string(kube::workload_kind_text(w.kind)), .name_space = w.meta.name_space, .name = w.meta.name};
  auto plan = plan_workload(w, owned(key.text()), clock_.now());
  if (plan.wake) workload_wakes_[key.text()] = *plan.wake;
  const auto* spec = member(template_source, "spec");
  for (int i = 0; i < plan.create; i++) {
    bool deployment = w.kind == kube::WorkloadKind::deployment;
    kube::Pod pod{.spec = w.template_spec};
    pod.meta = {.name_space = w.meta.name_space, .labels = w.template_labels, .annotations = w.template_annotations};
    pod.meta.name = w.meta.name + (deployment ? "-" + w.template_hash : "") + "-" + kube::short_hash(random_hex(8), 5);
    if (deployment) pod.meta.labels["pod-template-hash"] = w.template_hash;
    auto source = pod_source(pod.meta, *spec);
    event(key, false, "SuccessfulCreate", "created Pod " + pod.meta.name);
    add_pod(std::move(pod), std::move(source), key.text(), w.template_hash);
  }
  for (const auto& uid : plan.remove) {
    event(key, false, "SuccessfulDelete", "deleted Pod " + pods_.at(uid).record.pod.meta.name);
    delete_pod(uid, std::nullopt, key.kind + " " + key.name + " no longer wants it");
  }
}

bool Node::all_known() const {
  return std::ranges::all_of(pods_, [](const auto& p) { return p.second.seen.known; });
}

void Node::sync_workloads() {
  for (const auto& [key, at] : workload_wakes_)
    if (at <= clock_.now()) workloads_dirty_ = true;
  // After a restart nothing is decided before every Pod was looked at: what was not seen is not "not ready".
  if (!all_known() && !draining_) return;
  if (workloads_dirty_) {
    workloads_dirty_ = false;
    workload_wakes_.clear();
    for (const auto& [key, object] : objects()) {
      const auto* w = std::get_if<kube::Workload>(&object.value);
      if (w != nullptr && !draining_) sync_workload(*w, w->template_source);
    }
    for (auto& [uid, entry] : pods_) {
      if (entry.record.owner.empty() || entry.record.deleted) continue;
      bool declared =
          std::ranges::any_of(objects(), [&](const auto& o) { return o.first.text() == entry.record.owner; });
      if ((!declared && !source_.incomplete()) || draining_)
        delete_pod(uid, std::nullopt, entry.record.owner + " is no longer declared");
    }
  }
  for (const auto& [key, at] : workload_wakes_) want_wake(at);
}

ConfigMaps Node::config_maps(const std::string& name_space) const {
  ConfigMaps out;
  for (const auto& [key, object] : objects()) {
    const auto* map = std::get_if<kube::ConfigMap>(&object.value);
    if (map != nullptr && key.name_space == name_space) out[key.text()] = *map;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> Node::service_env_of(const std::string& name_space) const {
  std::vector<kube::Service> here;
  for (const auto& s : allocation_.services)
    if (s.meta.name_space == name_space) here.push_back(s);
  return service_env(here);
}

}  // namespace podshim::podlet
