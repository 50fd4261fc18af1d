#include "podlet/node.h"

#include <algorithm>

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::podlet {

Node::Node(NodeOptions options, RuntimeClient& runtime, Executor& executor, ProbeRunner& prober, const Clock& clock,
           ObjectSource& source, std::function<void()> wake)
    : options_(std::move(options)),
      runtime_(runtime),
      executor_(executor),
      prober_(prober),
      clock_(clock),
      source_(source),
      wake_(std::move(wake)),
      events_(options_.facts.state_dir + "/events.log"),
      services_dir_(options_.services_dir) {}

std::string Node::record_path(const std::string& uid) const {
  return options_.facts.state_dir + "/pods/" + uid + ".json";
}

Result<> Node::load() {
  const auto& state = options_.facts.state_dir;
  TRY(sys::make_dirs(state + "/pods", 0700));
  TRY(sys::make_dirs(state + "/logs", 0755));
  auto set_aside = [](const std::string& path, const Error& why) {
    log::warn("a record does not read; it is set aside", {{"file", path + ".bad"}, {"why", why.text()}});
    ::rename(path.c_str(), (path + ".bad").c_str());
  };
  for (const auto& name : TRY(sys::list_dir(state + "/pods"))) {
    if (!name.ends_with(".json")) continue;
    auto path = state + "/pods/" + name;
    auto record = [&]() -> Result<PodRecord> {
      auto text = TRY(sys::read_file(path));
      auto value = TRY(json::parse(text));
      return decode_record(value, path);
    }();
    if (!record) {
      set_aside(path, record.error());
      continue;
    }
    auto uid = record->uid;
    auto& entry = pods_[uid];
    entry.probes.assume_ready({record->ready_containers.begin(), record->ready_containers.end()});
    entry.record = *std::move(record);
  }
  // What a former podlet told netproxy: the first Pods to be deleted have to leave it.
  slices_ = read_slices(options_.services_dir);
  accepted_ = read_services(options_.services_dir);
  auto path = state + "/allocations.json";
  if (!sys::exists(path)) return {};
  auto allocations = [&]() -> Result<Allocations> {
    auto text = TRY(sys::read_file(path));
    auto value = TRY(json::parse(text));
    return decode_allocations(value, path);
  }();
  if (allocations) {
    allocations_ = *std::move(allocations);
  } else {
    set_aside(path, allocations.error());
  }
  return {};
}

void Node::post(std::function<void()> message) {
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(message));
  }
  wake_();
}

Time Node::step() {
  std::vector<std::function<void()>> messages;
  {
    std::lock_guard lock(mutex_);
    messages.swap(inbox_);
  }
  for (auto& message : messages) message();
  next_ = clock_.now() + std::chrono::hours(1);
  if (clock_.now() >= next_relist_ && !relisting_) relist();
  want_wake(relisting_ ? clock_.now() + options_.relist : next_relist_);
  if (rescan_) take_objects();
  sync_workloads();
  sync_pods();
  return next_;
}

void Node::event(const ObjectKey& object, bool warning, std::string reason, std::string message) {
  events_.add(clock_.now(), object, warning, std::move(reason), std::move(message));
}

void Node::save(const PodEntry& entry) {
  auto saved =
      sys::write_file_atomic(record_path(entry.record.uid), json::dump(encode_record(entry.record)) + "\n", 0600);
  if (!saved) log::error("a Pod's record could not be written", {{"why", saved.error().text()}});
}

const PodEntry* Node::find_pod(const std::string& name_space, const std::string& name) const {
  const PodEntry* out = nullptr;
  for (const auto& [uid, entry] : pods_) {
    const auto& meta = entry.record.pod.meta;
    if (meta.name != name || meta.name_space != name_space) continue;
    if (out == nullptr || !entry.record.deleted) out = &entry;  // the living one before one that goes
  }
  return out;
}

void Node::delete_pod(const std::string& uid, std::optional<std::chrono::seconds> grace, const std::string& reason) {
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  auto& entry = found->second;
  auto seconds = grace.value_or(entry.record.pod.spec.grace);
  if (entry.record.deleted) {
    entry.record.grace = std::min(entry.record.grace, seconds);
  } else {
    entry.record.deleted = clock_.now();
    entry.record.grace = seconds;
    entry.record.delete_reason = reason;
    changed_backends_.push_back(&entry);
    workloads_dirty_ = true;
  }
  for (auto& [container, pull] : entry.pulls) {
    pull.stop.request_stop();
    executor_.submit(Lane::work, pull.begin);
  }
  save(entry);
  entry.dirty = true;
}

void Node::drain(std::optional<std::chrono::seconds> grace) {
  draining_ = true;
  rescan_ = true;
  for (const auto& [uid, entry] : pods_) delete_pod(uid, grace, "everything is deleted");
}

}  // namespace podshim::podlet
