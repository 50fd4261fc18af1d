#include "netproxy/tracker.h"

namespace podshim::netproxy {

namespace {

void drop(std::string& text) { std::string().swap(text); }  // clear() and an assignment keep the memory

void strip(kube::ObjectMeta& meta) {
  drop(meta.uid);
  meta.labels.clear();
  meta.annotations.clear();
}

}  // namespace

void strip(kube::Service& service) {
  strip(service.meta);
  service.selector.clear();
}

void strip(kube::EndpointSlice& slice) {
  strip(slice.meta);
  for (auto& e : slice.endpoints) drop(e.target_name);
}

void Tracker::set(kube::Service service, Clock::time_point now) {
  auto key = service.meta.key();
  entries_[key].service = std::move(service);
  touch(key, now);
}

void Tracker::set(kube::EndpointSlice slice, Clock::time_point now) {
  auto key = slice.meta.key();
  auto owner = slice.meta.name_space + "/" + slice.service_name;
  if (auto it = slice_owner_.find(key); it != slice_owner_.end() && it->second != owner) remove_slice(key, now);
  if (slice.service_name.empty()) return;
  slice_owner_[key] = owner;
  entries_[owner].slices[key] = std::move(slice);
  touch(owner, now);
}

void Tracker::remove_service(const std::string& key, Clock::time_point now) {
  auto it = entries_.find(key);
  if (it == entries_.end() || !it->second.service) return;
  it->second.service.reset();
  drop_if_empty(key);
  touch(key, now);
}

void Tracker::remove_slice(const std::string& key, Clock::time_point now) {
  auto owner = slice_owner_.extract(key);
  if (owner.empty()) return;
  const auto& service = owner.mapped();
  entries_[service].slices.erase(key);
  drop_if_empty(service);
  touch(service, now);
}

void Tracker::drop_if_empty(const std::string& key) {
  auto it = entries_.find(key);
  if (it != entries_.end() && !it->second.service && it->second.slices.empty()) entries_.erase(it);
}

std::vector<Pending> Tracker::take_pending() {
  std::vector<Pending> out;
  out.reserve(pending_.size());
  for (const auto& [key, since] : pending_) out.push_back({key, since});
  pending_.clear();
  return out;
}

std::vector<std::string> Tracker::services() const {
  std::vector<std::string> out;
  for (const auto& [key, entry] : entries_)
    if (entry.service) out.push_back(key);
  return out;
}

const kube::Service* Tracker::service(const std::string& key) const {
  auto it = entries_.find(key);
  return it == entries_.end() || !it->second.service ? nullptr : &*it->second.service;
}

std::vector<const kube::EndpointSlice*> Tracker::slices(const std::string& key) const {
  std::vector<const kube::EndpointSlice*> out;
  if (auto it = entries_.find(key); it != entries_.end())
    for (const auto& [name, slice] : it->second.slices) out.push_back(&slice);
  return out;
}

ServiceModel Tracker::model(const std::string& key) const {
  const auto* found = service(key);
  return found == nullptr ? ServiceModel{.key = key} : model_of(*found, slices(key), facts_);
}

}  // namespace podshim::netproxy
