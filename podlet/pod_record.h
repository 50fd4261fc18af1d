// A Pod that podlet has decided to run: what it is, who asked for it, and whether it is being deleted. Kept as one JSON
// file a Pod in <state>/pods, so that a restarted podlet adopts what runs. PodObserved is what the runtime says of it.
// Values; one thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/kube/pod.h"
#include "podlet/runtime_client.h"

namespace podshim::podlet {

struct PodRecord {
  std::string uid;
  kube::Pod pod;              // meta.uid is `uid`
  json::Value source;         // the Pod as an object, for -o yaml and for the record
  std::string owner;          // "Deployment/default/web"; "" = a Pod of its own
  std::string template_hash;  // of the owner's template, or of the Pod's own spec
  Time created;
  std::optional<Time> deleted;     // deletion was asked at
  std::chrono::seconds grace{30};  // of the deletion
  std::string delete_reason;
  std::vector<std::string> ready_containers;  // ids; so that a restarted podlet takes no endpoint away
};

json::Value encode_record(const PodRecord& record);
Result<PodRecord> decode_record(const json::Value& value, const std::string& file);

struct PodObserved {
  bool known = false;                    // listed at least once since podlet started
  std::vector<CriSandbox> sandboxes;     // newest first
  std::vector<CriContainer> containers;  // newest first

  const CriSandbox* newest_sandbox() const { return sandboxes.empty() ? nullptr : &sandboxes.front(); }
  const CriSandbox* find_sandbox(const std::string& id) const;
  const CriContainer* newest(const std::string& name) const;  // over all sandboxes
  const CriContainer* newest_in(const std::string& name, const std::string& sandbox) const;
  // The last one that ended before `than`.
  const CriContainer* before(const CriContainer& than) const;
  bool any_running() const;
  void sort();
};

// Running, or not known to have ended.
inline bool may_run(const CriContainer& c) { return c.state == CriState::running || c.state == CriState::unknown; }

// The labels by which everything of a Pod is found again in the runtime; the kubelet's.
inline constexpr const char* kPodNameLabel = "io.kubernetes.pod.name";
inline constexpr const char* kPodNamespaceLabel = "io.kubernetes.pod.namespace";
inline constexpr const char* kPodUidLabel = "io.kubernetes.pod.uid";
inline constexpr const char* kContainerNameLabel = "io.kubernetes.container.name";
// Which podlet made it: the id of its state directory.
inline constexpr const char* kPodletAnnotation = "podshim.dev/podlet";

}  // namespace podshim::podlet
