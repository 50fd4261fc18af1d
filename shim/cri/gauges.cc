#include "shim/cri/gauges.h"

namespace podshim::cri {
namespace {

Gauge one(const char* name, const char* help, std::size_t value) {
  return {.name = name, .help = help, .values = {{.value = static_cast<double>(value)}}};
}

// Every state is there, also when nothing is in it.
Gauge by_state(const char* name, const char* help, const std::map<std::string, std::size_t>& counts) {
  Gauge out{.name = name, .help = help};
  for (const auto& [state, count] : counts)
    out.values.push_back({.labels = {{"state", state}}, .value = static_cast<double>(count)});
  return out;
}

}  // namespace

std::vector<Gauge> gauges(const Border& border) {
  const auto snapshot = border.runtime.snapshot();
  std::map<std::string, std::size_t> sandboxes = {{"ready", 0}, {"not_ready", 0}};
  for (const auto& view : snapshot->sandboxes) sandboxes[view->state == SandboxState::ready ? "ready" : "not_ready"]++;
  std::map<std::string, std::size_t> containers = {{"created", 0}, {"running", 0}, {"exited", 0}};
  std::size_t lost = 0;
  for (const auto& view : snapshot->containers) {
    containers[state_name(view->state)]++;
    lost += view->log_lost;
  }
  const RuntimeCounters now = border.runtime.counters();
  std::vector<Gauge> out = {
      {.name = "podshim_build_info",
       .help = "1, labelled with the version.",
       .values = {{.labels = {{"version", kRuntimeVersion}}, .value = 1}}},
      {.name = "podshim_start_time_seconds",
       .help = "When the daemon began to serve, in seconds since 1970.",
       .values = {{.value = static_cast<double>(border.started_at_ns) / 1e9}}},
      by_state("podshim_sandboxes", "Pod sandboxes by state.", sandboxes),
      by_state("podshim_containers", "Containers by state.", containers),
      one("podshim_cri_requests_running", "Calls under way.", border.activity.running().size()),
      one("podshim_event_subscribers", "Clients that follow container events.", now.subscribers),
      one("podshim_cni_debts", "Sandboxes that are gone and whose CNI DEL is still owed.", now.network_debts),
      one("podshim_quarantined_records", "Records set aside because they cannot be used.", now.quarantined),
      one("podshim_log_dropped_bytes", "Bytes that are missing in the logs of the containers that are there.", lost),
      one("podshim_unreached_monitors", "Monitors that live and do not answer yet.", now.unreached_monitors),
  };
  if (border.streaming_sessions)
    out.push_back(
        one("podshim_streaming_sessions", "Open exec, attach and port-forward sessions.", border.streaming_sessions()));
  return out;
}

}  // namespace podshim::cri
