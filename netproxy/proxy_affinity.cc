// The part of the sync that looks after what session affinity remembers (affinity.h).
#include <algorithm>

#include "common/log.h"
#include "netproxy/node_addresses.h"
#include "netproxy/proxy.h"

namespace podshim::netproxy {
namespace {

constexpr auto kRecheck = std::chrono::milliseconds(300);
constexpr int kRetryDoublings = 7;  // up to 38 s

}  // namespace

Result<std::vector<Remembered>> Proxy::clients(const AffinityCheck& check, AffinityCheck::Answer wanted) {
  Sources sources{.pods = applied_.layout().local_pods, .node = TRY(node_addresses())};
  std::vector<Remembered> out;
  for (const auto& map : check.maps())
    for (auto& entry : TRY(parts_.kernel.remembered(map)))
      if (check(entry, sources) == wanted) out.push_back(std::move(entry));
  return out;
}

void Proxy::forget_clients(Plan& plan, Clock::time_point now) {
  AffinityCheck check;
  for (const auto& service : plan.services) {
    const auto* applied = applied_.find(service.desired.key);
    if (applied == nullptr || !forgets(*applied, service.desired)) continue;
    check.add(*applied, service.desired);
    recheck_clients_.push_back(*applied);
  }
  if (check.empty()) return;
  recheck_due_ = now + kRecheck;
  auto found = clients(check, AffinityCheck::Answer::forget);
  if (!found) return log::error("remembered clients not read", {{"error", found.error().text()}});
  plan.forgotten = *std::move(found);
}

void Proxy::forget_again(std::vector<ServiceModel> old, Clock::time_point now) {
  auto done = forget_clients_of(old);
  if (done) {
    forget_tries_ = 0;
    return;
  }
  log::error("remembered clients not forgotten", {{"error", done.error().text()}});
  recheck_clients_ = std::move(old);
  recheck_due_ = now + kRecheck * (1 << std::min(++forget_tries_, kRetryDoublings));
}

Result<> Proxy::forget_clients_of(const std::vector<ServiceModel>& old) {
  static const ServiceModel kNone;
  AffinityCheck check;
  for (const auto& model : old) {
    const auto* applied = applied_.find(model.key);
    check.add(model, applied != nullptr ? *applied : kNone);
  }
  if (check.empty()) return {};
  Plan plan{.forgotten = TRY(clients(check, AffinityCheck::Answer::forget))};
  if (plan.empty()) return {};
  auto batch = render_netlink(plan);
  auto outcome = TRY(parts_.kernel.commit(batch.batch));
  if (outcome.accepted()) return {};
  if (!outcome.refusals.empty()) return fail(std::move(outcome.refusals.front().error));
  return fail(Error::sys("recvmsg", "nf_tables", "replies lost", EIO));
}

std::vector<Remembered> Proxy::clients_to_carry(const Plan& plan) {
  AffinityCheck check;
  for (const auto& service : plan.services) check.add(service.desired, service.desired);
  if (check.empty()) return {};
  auto found = clients(check, AffinityCheck::Answer::keep);
  if (found) return *std::move(found);
  log::error("remembered clients not read", {{"error", found.error().text()}});
  return {};
}

}  // namespace podshim::netproxy
