// The part of the sync that looks after UDP flows (stale_flows.h): at once, and a second time a little later.
#include "common/log.h"
#include "netproxy/proxy.h"

namespace podshim::netproxy {
namespace {

constexpr auto kRecheck = std::chrono::milliseconds(300);

}  // namespace

void Proxy::Suspects::merge(const Suspects& o) {
  services.insert(o.services.begin(), o.services.end());
  removed.insert(removed.end(), o.removed.begin(), o.removed.end());
  untranslated = untranslated || o.untranslated;
  if (!range) range = o.range;
}

void Proxy::drop_flows(const Suspects& suspects) {
  if (suspects.empty()) return;
  FlowCheck check{.fronts = suspects.removed,
                  .untranslated = suspects.untranslated,
                  .services = suspects.range,
                  .layout = applied_.layout()};
  for (const auto& key : suspects.services) {
    const auto* model = applied_.find(key);
    if (model == nullptr) continue;
    auto fronts = all_fronts(*model);
    check.fronts.insert(check.fronts.end(), fronts.begin(), fronts.end());
  }
  auto done = parts_.conntrack.drop_stale(check, applied_.layout().families);
  if (!done) {
    log::error("stale flows not dropped", {{"error", done.error().text()}});
  } else if (done->dropped != 0) {
    log::info("stale flows dropped", {{"flows", done->dropped}, {"seen", done->seen}});
  }
}

void Proxy::check_flows(Clock::time_point now) {
  if (suspects_.empty()) return;
  drop_flows(suspects_);
  recheck_.merge(suspects_);
  recheck_due_ = now + kRecheck;
  suspects_ = {};
}

}  // namespace podshim::netproxy
