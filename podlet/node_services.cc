// Services: allocation, slices, the directory for netproxy, and when a deleted Pod may be stopped.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/sys/file.h"
#include "podlet/node.h"

namespace podshim::podlet {
namespace {

constexpr Duration kAckPoll = std::chrono::milliseconds(2);
constexpr Duration kWritePatience = std::chrono::seconds(5);

// Why a Pod is not ready, in a few words.
std::string why_not_ready(const PodStatus& s) {
  for (const auto* list : {&s.init, &s.containers}) {
    for (const auto& c : *list) {
      if (c.state == ContainerStatus::State::running && c.ready) continue;
      if (!c.probe_message.empty()) return c.probe_message;
      if (c.state == ContainerStatus::State::waiting)
        return "container " + c.name + ": " + c.reason + (c.message.empty() ? "" : " (" + c.message + ")");
      if (list == &s.containers && c.state == ContainerStatus::State::terminated)
        return "container " + c.name + ": " + c.ended.reason + ", exit code " + std::to_string(c.ended.exit_code);
      if (c.state == ContainerStatus::State::running && !c.is_started) return "container " + c.name + " is starting";
      if (list == &s.containers && c.state == ContainerStatus::State::running)
        return "container " + c.name + ": its readiness probe has not succeeded yet";
    }
  }
  return s.message;
}

}  // namespace

std::vector<Backend> Node::backends() const {
  std::vector<Backend> out;
  for (const auto& [uid, e] : pods_) {
    const auto& pod = e.record.pod;
    Backend b{.name = pod.meta.name,
              .name_space = pod.meta.name_space,
              .hostname = pod.spec.hostname,
              .subdomain = pod.spec.subdomain,
              .labels = &pod.meta.labels,
              .spec = &pod.spec,
              .ips = e.status.ips,
              .ready = e.status.ready};
    b.deleting = e.record.deleted.has_value();
    b.ended = e.status.phase == PodPhase::succeeded || e.status.phase == PodPhase::failed;
    // A deleted Pod leaves for good when its containers have ended; until then it is "terminating".
    if (b.deleting && e.seen.known && !e.seen.any_running()) b.ended = true;
    if (!b.ready) b.why_not_ready = why_not_ready(e.status);
    out.push_back(std::move(b));
  }
  std::ranges::sort(out, {}, &Backend::name);
  return out;
}

void Node::allocate_services() {
  std::vector<kube::Service> wanted;
  for (const auto& [key, object] : objects())
    if (const auto* s = std::get_if<kube::Service>(&object.value); s != nullptr && !draining_) wanted.push_back(*s);
  allocation_ = allocate(wanted, allocations_, options_.ranges, accepted_);
  accepted_ = allocation_.services;
  for (auto [list, reason] :
       {std::pair{&allocation_.refused, "FailedAllocation"}, std::pair{&allocation_.pending, "LoadBalancerPending"},
        std::pair{&allocation_.health_pending, "HealthCheckNodePortPending"}}) {
    for (const auto& [key, why] : *list) {
      auto slash = key.find('/');
      event({.kind = "Service", .name_space = key.substr(0, slash), .name = key.substr(slash + 1)}, true, reason, why);
    }
  }
  // A Service in a file that nobody could read since the start keeps what it had.
  if (source_.incomplete() && !draining_) allocation_.allocations.insert(allocations_.begin(), allocations_.end());
  if (allocation_.allocations == allocations_) return;
  allocations_ = allocation_.allocations;
  auto text = json::dump(encode_allocations(allocations_), 1) + "\n";
  auto saved = sys::write_file_atomic(options_.facts.state_dir + "/allocations.json", text, 0600);
  if (!saved) log::error("the allocations could not be written", {{"why", saved.error().text()}});
}

std::map<std::string, std::string> Node::refusals(const std::vector<kube::Service>& services) const {
  std::map<std::string, const kube::Service*> wanted;
  for (const auto& [key, object] : objects())
    if (const auto* s = std::get_if<kube::Service>(&object.value)) wanted[s->meta.key()] = s;
  for (const auto& s : services) wanted[s.meta.key()] = &s;
  std::vector<kube::Service> list;
  for (const auto& [key, s] : wanted) list.push_back(*s);
  auto refused = allocate(list, allocations_, options_.ranges, accepted_).refused;
  std::map<std::string, std::string> out;
  for (const auto& s : services)
    if (auto found = refused.find(s.meta.key()); found != refused.end()) out.insert(*found);
  return out;
}

void Node::sync_services() {
  if (adopting_) {
    adopting_ = !all_known();
    if (adopting_) return;
    services_dirty_ = true;
  }
  if (changed_backends_.empty() && gone_labels_.empty() && !services_dirty_ && !write_failed_) return;
  auto pods = backends();
  auto touches = [&](const kube::Service& s) {
    auto hit = [&](const kube::Labels& labels) { return kube::has_labels(labels, s.selector); };
    return std::ranges::any_of(changed_backends_, [&](const auto* e) { return hit(e->record.pod.meta.labels); }) ||
           std::ranges::any_of(gone_labels_, hit);
  };
  if (services_dirty_) slices_of_.clear();
  for (const auto& s : allocation_.services)
    if (services_dirty_ || touches(s)) slices_of_[s.meta.key()] = build_slices(s, pods, options_.facts.node_name);
  auto before = std::exchange(slices_, {});
  for (const auto& [key, list] : slices_of_) slices_.insert(slices_.end(), list.begin(), list.end());
  for (const auto& [key, object] : objects()) {
    const auto* given = std::get_if<std::vector<kube::EndpointSlice>>(&object.value);
    if (given != nullptr && !draining_) slices_.insert(slices_.end(), given->begin(), given->end());
  }
  note_leaving(before);
  auto written = services_dir_.write(allocation_.services, slices_);
  if (!written) log::error("the services directory could not be written", {{"why", written.error().text()}});
  write_failed_ = !written;
  if (write_failed_) want_wake(clock_.now() + std::chrono::seconds(1));
  for (auto& [uid, entry] : pods_) {
    if (!entry.record.deleted || entry.left_at || !written) continue;
    entry.left_at = clock_.now();
    entry.dirty = true;
  }
  changed_backends_.clear();
  gone_labels_.clear();
  services_dirty_ = false;
}

// Of Pods that are deleted since the last writing: where traffic went to them and no longer shall. An address that
// stays (publishNotReadyAddresses) is not waited for.
void Node::note_leaving(const std::vector<kube::EndpointSlice>& before) {
  for (auto& [uid, entry] : pods_) {
    if (!entry.record.deleted || entry.left_at) continue;
    const auto& meta = entry.record.pod.meta;
    for (const auto* slices : {&before, &std::as_const(slices_)}) {
      for (const auto& slice : *slices) {
        if (slice.meta.name_space != meta.name_space) continue;
        for (const auto& e : slice.endpoints) {
          if (e.target_name != meta.name || !e.ready) continue;
          for (const auto& port : slice.ports) {
            auto text = endpoint_text(e.addresses.front(), port.port);
            if (slices == &before) entry.left_addresses.insert(text);
            if (slices != &before) entry.left_addresses.erase(text);
          }
        }
      }
    }
  }
}

bool Node::may_stop(const PodEntry& entry, Time* wake) const {
  if (!entry.record.deleted) return true;
  // If the directory cannot be written, deletion goes on all the same after a while.
  auto patience = *entry.record.deleted + kWritePatience;
  if (!entry.left_at) {
    *wake = patience;
    return clock_.now() >= patience;
  }
  if (entry.left_addresses.empty() || clock_.now() >= *entry.left_at + options_.ack_limit) return true;
  if (!netproxy_sends_to(options_.netproxy_status, entry.left_addresses)) return true;
  *wake = clock_.now() + kAckPoll;
  return false;
}

}  // namespace podshim::podlet
