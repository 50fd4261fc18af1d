// The sync: takes what changed from the tracker, plans it, commits it, and remembers what the kernel acknowledged.
//
// A batch holds at most 1,000 Services. When the kernel refuses one, the Services it names (or, where it names none,
// the one found by halving) are logged as text, set aside and tried again with a growing pause; the others are
// programmed. What was there before stays until the kernel takes its successor. A start, and a foreign change, rebuild
// the table: in one transaction when there is a table, so that traffic never sees half of one.
//
// After an acknowledgement, stale UDP flows of the changed fronts are dropped, and once more a little later: a packet
// that looked up the old table may make its flow after the first look. The same is done for the clients that session
// affinity remembers; these leave with the batch of the change itself, and are carried into a table that is made anew.
// One thread.
#pragma once

#include "netproxy/apply.h"
#include "netproxy/conntrack.h"
#include "netproxy/health.h"
#include "netproxy/status.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

class Proxy {
 public:
  struct Parts {
    Kernel& kernel;
    Watch* watch = nullptr;  // paused during large batches
    Conntrack& conntrack;
    Tracker& tracker;
    Status& status;
    HealthServer* health = nullptr;  // told of what each Service asks for
  };
  Proxy(Parts parts, LayoutFacts layout, std::optional<Cidr> service_cidr)
      : parts_(parts), applied_(std::move(layout)), service_cidr_(service_cidr) {}

  // The whole table from what the tracker has. Also the start.
  void rebuild(Clock::time_point now);
  // What is pending or due.
  void sync(Clock::time_point now);
  // Somebody else changed our table: builds it again, at once, or after a growing pause when that goes on: from the
  // fifth on, each within five seconds of the last build. What comes before the answer to one is part of it.
  void foreign_change(Clock::time_point now);
  // Notifications were lost: the same when the table is not the one that was made.
  void verify(Clock::time_point now);
  // When sync() has work that no event announces.
  std::optional<Clock::time_point> wake_at() const;

  const Applied& applied() const { return applied_; }
  bool clean() const { return loaded_ && quarantine_.empty(); }

 private:
  struct Quarantined {
    int tries = 0;
    Clock::time_point due;
  };
  using Since = std::map<std::string, Clock::time_point>;

  // Tells of each what is not served of it, and the health server what it asks for.
  std::vector<ServiceModel> models(const std::vector<std::string>& keys);
  std::vector<std::string> set_pending_aside();
  bool load_layout(std::vector<ServiceModel> first, const Since& since, Clock::time_point now);
  void commit(std::vector<ServiceModel> models, const Since& since, Clock::time_point now);
  void refused(std::vector<ServiceModel> models, Plan plan, const NftBatch& batch, const Outcome& outcome,
               const Since& since, Clock::time_point now);
  std::set<std::string> blamed(const Plan& plan, const NftBatch& batch, const Outcome& outcome) const;
  void quarantine(const std::string& key, const std::string& why, Clock::time_point now);
  void acknowledge(Plan plan, const Since& since, std::size_t bytes);
  void note_conflicts(const ServicePlan& service);
  void report(const std::vector<const ServicePlan*>& changed, const Since& since, std::size_t bytes);
  void report_not_served(const std::string& key);
  void check_flows(Clock::time_point now);
  void remember_table();
  void make_ahead(Clock::time_point now);
  Result<std::vector<Remembered>> clients(const AffinityCheck& check, AffinityCheck::Answer wanted);
  void forget_clients(Plan& plan, Clock::time_point now);
  void forget_again(std::vector<ServiceModel> old, Clock::time_point now);
  Result<> forget_clients_of(const std::vector<ServiceModel>& old);
  std::vector<Remembered> clients_to_carry(const Plan& plan);
  // Runs with the notifications off, for a batch so large that building them would cost; looks at the table afterwards.
  template <typename Work>
  void unwatched(Clock::time_point now, Work work);
  void count_foreign(Clock::time_point now);
  // The table went, and this is the first to notice: the next sync() builds it, or the one after a pause.
  void found_gone(Clock::time_point now);

  Parts parts_;
  Applied applied_;
  std::optional<Cidr> service_cidr_;
  bool loaded_ = false;
  bool away_ = false;  // inside unwatched()
  bool trim_ = false;  // the table was built: memory is to be given back
  std::optional<TableIdentity> table_;
  int rebuild_tries_ = 0;
  std::optional<Clock::time_point> rebuild_due_;
  std::map<std::string, Quarantined> quarantine_;
  std::vector<std::string> gone_;                  // Services that went while there was no table to take them from
  std::map<std::string, std::string> waiting_;     // Service -> the front another one has
  std::map<std::string, std::string> not_served_;  // what was logged of a Service
  // Whose flows to compare: Services by name, so that a later look compares with what is allowed then.
  struct Suspects {
    std::set<std::string> services;
    std::vector<UdpFront> removed;
    bool untranslated = false;
    std::optional<Cidr> range;
    bool empty() const { return services.empty() && removed.empty() && !range; }
    void merge(const Suspects& o);
  };
  void drop_flows(const Suspects& suspects);

  Suspects suspects_;  // of this sync
  Suspects recheck_;
  std::vector<ServiceModel> recheck_clients_;  // as the Services were whose clients were forgotten
  std::optional<Clock::time_point> recheck_due_;
  int forget_tries_ = 0;
  std::optional<Clock::time_point> ahead_due_;  // a quiet moment to make a chain that may be needed
  Clock::time_point last_rebuild_{};
  int foreign_ = 0;  // foreign changes shortly after each other
};

}  // namespace podshim::netproxy
