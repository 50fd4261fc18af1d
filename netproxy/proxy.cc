#include "netproxy/proxy.h"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/log.h"
#include "netproxy/render_text.h"

namespace podshim::netproxy {
namespace {

constexpr std::size_t kBatchServices = 1000;
constexpr std::size_t kQuietBatch = 20;    // more Services than this are one line of log
constexpr std::size_t kLargeBatch = 1000;  // elements, above which our own notifications are not listened to
constexpr auto kRetryFirst = std::chrono::seconds(1);
constexpr int kRetryDoublings = 6;  // up to 64 s
constexpr std::size_t kLoggedText = 4000;
constexpr auto kCalm = std::chrono::seconds(5);
constexpr int kAtOnce = 4;  // foreign changes, each shortly after a build, that are answered without a pause
constexpr auto kQuiet = std::chrono::milliseconds(300);

double ms_since(Clock::time_point t) { return std::chrono::duration<double, std::milli>(Clock::now() - t).count(); }

std::string ms_text(double ms) {
  char out[32];
  std::snprintf(out, sizeof out, "%.3f", ms);
  return out;
}

Clock::duration pause_of(int tries) { return kRetryFirst * (1 << std::min(tries, kRetryDoublings)); }

}  // namespace

std::vector<ServiceModel> Proxy::models(const std::vector<std::string>& keys) {
  std::vector<ServiceModel> out;
  out.reserve(keys.size());
  for (const auto& key : keys) {
    out.push_back(parts_.tracker.model(key));
    report_not_served(key);
    if (parts_.health == nullptr) continue;
    const auto* service = parts_.tracker.service(key);
    auto check = service == nullptr ? std::nullopt
                                    : health_check_of(*service, parts_.tracker.slices(key), parts_.tracker.facts());
    parts_.health->set(key, std::move(check), Clock::now());
  }
  return out;
}

// The table that is made anew knows living Services only: what it needs of the others is kept until it is made. Returns
// the living.
std::vector<std::string> Proxy::set_pending_aside() {
  std::vector<std::string> living;
  for (auto& pending : parts_.tracker.take_pending()) {
    bool came = false;
    if (const auto* old = applied_.find(pending.key))
      for (auto& front : changed_fronts(*old, parts_.tracker.model(pending.key), &came))
        if (front.removed) suspects_.removed.push_back(std::move(front));
    bool lives = parts_.tracker.service(pending.key) != nullptr;
    (lives ? living : gone_).push_back(std::move(pending.key));
  }
  models(gone_);  // tells the others of it
  return living;
}

void Proxy::rebuild(Clock::time_point now) {
  set_pending_aside();
  quarantine_.clear();
  waiting_.clear();
  auto keys = parts_.tracker.services();
  std::ranges::sort(keys);
  Since since;
  for (const auto& key : keys) since[key] = now;
  auto existing = parts_.kernel.table();
  if (!existing) log::error("own table could not be asked for", {{"error", existing.error().text()}});
  bool in_one = existing && existing->has_value();
  table_.reset();
  auto all = models(keys);
  std::vector<ServiceModel> first;
  if (in_one) std::swap(first, all);
  bool done = false;
  rebuild_due_.reset();
  unwatched(now, [&] {
    // What waits to be read was before the table that is made now: a flush is told in several messages, and those that
    // came behind the first are no second one.
    if (parts_.watch != nullptr) (void)parts_.watch->read();
    done = load_layout(std::move(first), since, now);
    for (std::size_t i = 0; done && i < all.size(); i += kBatchServices) {
      auto begin = all.begin() + static_cast<std::ptrdiff_t>(i);
      auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(i + kBatchServices, all.size()));
      commit({std::make_move_iterator(begin), std::make_move_iterator(end)}, since, now);
    }
  });
  if (!done) {
    rebuild_due_ = now + pause_of(rebuild_tries_++);
    return;
  }
  rebuild_tries_ = 0;
  remember_table();
  last_rebuild_ = now;
  log::info(
      "table built",
      {{"services", applied_.services().size()}, {"in_place", in_one ? "yes" : "no"}, {"ms", ms_text(ms_since(now))}});
  for (const auto& key : std::exchange(gone_, {}))
    if (parts_.tracker.service(key) == nullptr) parts_.status.removed(key);
  // What nobody watched meanwhile: every UDP flow is compared.
  suspects_ = {.services = {}, .removed = std::move(suspects_.removed), .untranslated = true, .range = service_cidr_};
  for (const auto& [key, model] : applied_.services()) suspects_.services.insert(key);
  check_flows(now);
  trim_ = true;
}

bool Proxy::load_layout(std::vector<ServiceModel> first, const Since& since, Clock::time_point now) {
  for (;;) {
    Applied fresh(applied_.layout());
    auto plan = fresh.plan(first);
    plan.carried = clients_to_carry(plan);
    auto batch = render_replace(applied_.layout(), plan);
    auto bytes = batch.batch.bytes().size();
    auto outcome = parts_.kernel.commit(batch.batch);
    if (!outcome) {
      log::error("table not built", {{"error", outcome.error().text()}});
      return false;
    }
    if (outcome->accepted()) {
      applied_ = std::move(fresh);
      loaded_ = true;
      acknowledge(std::move(plan), since, bytes);
      return true;
    }
    auto bad = blamed(plan, batch, *outcome);
    const auto* why = outcome->refusals.empty() ? nullptr : &outcome->refusals.front().error;
    if (bad.empty()) {
      log::error("table refused", {{"error", why != nullptr ? why->text() : "replies lost"}});
      return false;
    }
    for (const auto& key : bad) quarantine(key, why->text(), now);
    std::erase_if(first, [&](const ServiceModel& m) { return bad.contains(m.key); });
  }
}

void Proxy::sync(Clock::time_point now) {
  if (!loaded_ || (rebuild_due_ && *rebuild_due_ <= now)) {
    if (!rebuild_due_ || *rebuild_due_ <= now) return rebuild(now);
    models(set_pending_aside());
    return;
  }
  std::vector<std::string> keys;
  Since since;
  for (auto& pending : parts_.tracker.take_pending()) {
    since[pending.key] = pending.since;
    quarantine_.erase(pending.key);
    keys.push_back(std::move(pending.key));
  }
  for (const auto& [key, q] : quarantine_) {
    if (q.due > now) continue;
    since[key] = now;
    keys.push_back(key);
  }
  for (std::size_t i = 0; i < keys.size(); i += kBatchServices) {
    auto begin = keys.begin() + static_cast<std::ptrdiff_t>(i);
    auto end = keys.begin() + static_cast<std::ptrdiff_t>(std::min(i + kBatchServices, keys.size()));
    commit(models({begin, end}), since, now);
  }
  if (recheck_due_ && *recheck_due_ <= now) {
    recheck_due_.reset();
    drop_flows(std::exchange(recheck_, {}));
    forget_again(std::exchange(recheck_clients_, {}), now);
    // A build makes and drops much more than what stays; the quiet moment after it is now.
    if (std::exchange(trim_, false)) ::malloc_trim(0);
  }
  if (ahead_due_ && *ahead_due_ <= now && keys.empty()) make_ahead(now);
  check_flows(now);
}

void Proxy::commit(std::vector<ServiceModel> models, const Since& since, Clock::time_point now) {
  if (models.empty()) return;
  auto plan = applied_.plan(models);
  forget_clients(plan, now);
  if (plan.empty()) return acknowledge(std::move(plan), since, 0);
  auto batch = render_netlink(plan);
  auto bytes = batch.batch.bytes().size();
  Result<Outcome> outcome;
  auto send = [&] { outcome = parts_.kernel.commit(batch.batch); };
  if (plan.size() > kLargeBatch && !away_) {
    unwatched(now, send);
  } else {
    send();
  }
  if (!outcome) {
    for (const auto& m : models) quarantine(m.key, outcome.error().text(), now);
    return;
  }
  if (outcome->accepted()) return acknowledge(std::move(plan), since, bytes);
  refused(std::move(models), std::move(plan), batch, *outcome, since, now);
}

std::set<std::string> Proxy::blamed(const Plan& plan, const NftBatch& batch, const Outcome& outcome) const {
  std::set<std::string> out;
  for (const auto& r : outcome.refusals) {
    auto service = batch.service_of[r.request];
    if (service != NftBatch::kNoService) out.insert(plan.services[service].desired.key);
  }
  return out;
}

void Proxy::refused(std::vector<ServiceModel> models, Plan plan, const NftBatch& batch, const Outcome& outcome,
                    const Since& since, Clock::time_point now) {
  std::string why = outcome.refusals.empty() ? "replies lost" : outcome.refusals.front().error.text();
  // Our table went between two looks: then every Service would be refused, one by one.
  if (auto table = parts_.kernel.table(); table && !*table) {
    log::warn("own table is gone: building it again", {{"error", why}});
    return found_gone(now);
  }
  auto bad = blamed(plan, batch, outcome);
  if (bad.empty() && models.size() == 1) bad.insert(models.front().key);
  if (!bad.empty() || models.size() <= kQuietBatch)
    log::error("batch refused",
               {{"error", why}, {"services", models.size()}, {"text", render_text(plan).substr(0, kLoggedText)}});
  if (bad.empty()) {  // the kernel names none: halve
    auto middle = models.begin() + static_cast<std::ptrdiff_t>(models.size() / 2);
    std::vector<ServiceModel> half(std::make_move_iterator(middle), std::make_move_iterator(models.end()));
    models.erase(middle, models.end());
    commit(std::move(models), since, now);
    commit(std::move(half), since, now);
    return;
  }
  for (const auto& key : bad) quarantine(key, why, now);
  std::erase_if(models, [&](const ServiceModel& m) { return bad.contains(m.key); });
  commit(std::move(models), since, now);
}

void Proxy::quarantine(const std::string& key, const std::string& why, Clock::time_point now) {
  auto& q = quarantine_[key];
  q.due = now + pause_of(q.tries++);
  parts_.status.trouble(key, "quarantined", why);
  log::error("Service set aside", {{"service", key}, {"tries", q.tries}, {"error", why}});
}

void Proxy::note_conflicts(const ServicePlan& service) {
  const auto& key = service.desired.key;
  if (service.conflicts.empty()) {
    waiting_.erase(key);
    return;
  }
  std::string text;
  for (const auto& c : service.conflicts) text += (text.empty() ? "" : ", ") + c.front + " belongs to " + c.owner;
  parts_.status.trouble(key, "conflict", text);
  if (auto& last = waiting_[key]; last != text) {
    last = text;
    log::warn("front not served: another Service has it", {{"service", key}, {"conflict", text}});
  }
}

void Proxy::acknowledge(Plan plan, const Since& since, std::size_t bytes) {
  bool front_left = false, came = false;
  static const ServiceModel kNone;
  std::vector<const ServicePlan*> changed;
  const bool something = !plan.empty();
  if (something) parts_.status.next_generation();
  for (const auto& service : plan.services) {
    const auto& key = service.desired.key;
    quarantine_.erase(key);
    const auto* old = applied_.find(key);
    for (auto& front : changed_fronts(old != nullptr ? *old : kNone, service.desired, &came)) {
      suspects_.services.insert(key);
      if (front.removed) suspects_.removed.push_back(std::move(front));
    }
    if (!service.changes.empty()) changed.push_back(&service);
    for (const auto& c : service.changes) front_left = front_left || (!c.add && is_front(c.element.set.kind));
    if (service.desired.empty()) {
      parts_.status.removed(key);
    } else if (!service.changes.empty()) {
      auto from = since.find(key);
      parts_.status.acknowledged(service.desired, from == since.end() ? 0 : ms_since(from->second));
    }
    note_conflicts(service);
  }
  suspects_.untranslated = suspects_.untranslated || came;
  if (!changed.empty()) report(changed, since, bytes);
  bool table_grew = !plan.chains.empty() || !plan.timeouts.empty();
  applied_.accept(std::move(plan));
  if (table_grew) remember_table();
  if (something && !ahead_due_) ahead_due_ = Clock::now() + kQuiet;
  if (!front_left) return;
  for (const auto& [key, text] : waiting_) parts_.tracker.touch(key, Clock::now());
}

void Proxy::report(const std::vector<const ServicePlan*>& changed, const Since& since, std::size_t bytes) {
  if (changed.size() > kQuietBatch) {
    log::info("programmed",
              {{"services", changed.size()}, {"bytes", bytes}, {"generation", parts_.status.generation()}});
    return;
  }
  for (const auto* s : changed) {
    auto from = since.find(s->desired.key);
    log::info("programmed", {{"service", s->desired.key},
                             {"endpoints", s->desired.endpoints()},
                             {"elements", s->changes.size()},
                             {"generation", parts_.status.generation()},
                             {"ms", ms_text(from == since.end() ? 0 : ms_since(from->second))}});
  }
}

void Proxy::report_not_served(const std::string& key) {
  const auto* service = parts_.tracker.service(key);
  std::string text;
  if (service != nullptr)
    for (const auto& field : not_served(*service, parts_.tracker.facts())) text += (text.empty() ? "" : ", ") + field;
  auto it = not_served_.find(key);
  if (text.empty()) {
    if (it != not_served_.end()) not_served_.erase(it);
    return;
  }
  if (it != not_served_.end() && it->second == text) return;
  not_served_[key] = text;
  log::warn("not served", {{"service", key}, {"fields", text}});
}

template <typename Work>
void Proxy::unwatched(Clock::time_point now, Work work) {
  if (parts_.watch != nullptr) parts_.watch->leave();
  away_ = true;
  work();
  away_ = false;
  if (parts_.watch != nullptr) parts_.watch->join();
  // Nobody told of a foreign change meanwhile. The handle is another one when the table was made anew.
  auto table = parts_.kernel.table();
  bool ours = table && *table && (!table_ || (*table)->handle == table_->handle);
  if (!ours) found_gone(now);
}

void Proxy::remember_table() {
  auto table = parts_.kernel.table();
  table_ = table ? *table : std::nullopt;
}

// One chain at a time: each is a walk of the map, and a change that comes meanwhile waits for it.
void Proxy::make_ahead(Clock::time_point now) {
  ahead_due_.reset();
  auto chain = applied_.ahead();
  if (!chain || rebuild_due_) return;
  Plan plan;
  plan.chains.push_back(*std::move(chain));
  auto batch = render_netlink(plan);
  auto outcome = parts_.kernel.commit(batch.batch);
  if (!outcome || !outcome->accepted()) {  // who needs it asks for it again
    log::warn("chain not made ahead", {{"chain", plan.chains.front().name}});
    return;
  }
  applied_.accept(std::move(plan));
  remember_table();
  ahead_due_ = now + kQuiet;
}

void Proxy::foreign_change(Clock::time_point now) {
  // The build that is to come answers this one too.
  if (!loaded_ || (rebuild_due_ && foreign_ > kAtOnce)) return;
  count_foreign(now);
  if (foreign_ <= kAtOnce) rebuild(now);
}

// Two that fight over the table must not take a core each.
void Proxy::count_foreign(Clock::time_point now) {
  foreign_ = now - last_rebuild_ < kCalm ? foreign_ + 1 : 1;
  if (foreign_ > kAtOnce) rebuild_due_ = now + pause_of(foreign_ - kAtOnce - 1);
}

void Proxy::found_gone(Clock::time_point now) {
  const bool counted = rebuild_due_ && foreign_ > kAtOnce;  // its notification came first
  if (!std::exchange(loaded_, false) || counted) return;
  count_foreign(now);
}

void Proxy::verify(Clock::time_point now) {
  auto table = parts_.kernel.table();
  if (table && *table && *table == table_) return;
  foreign_change(now);
}

std::optional<Clock::time_point> Proxy::wake_at() const {
  std::optional<Clock::time_point> out;
  auto consider = [&](Clock::time_point t) { out = out ? std::min(*out, t) : t; };
  if (rebuild_due_) consider(*rebuild_due_);
  if (!loaded_) {  // nothing else is looked at before
    if (!rebuild_due_) consider({});
    return out;
  }
  for (const auto& [key, q] : quarantine_) consider(q.due);
  if (recheck_due_) consider(*recheck_due_);
  if (ahead_due_) consider(*ahead_due_);
  return out;
}

}  // namespace podshim::netproxy
