// Which remembered clients may keep their endpoint. The packets write the map (netproxy/layout.h); an entry never
// changes its endpoint by itself, so when an endpoint goes, or the way a client may take, the entries that lead there
// are deleted in the batch of the change, and once more a little later: a packet that looked up the old table may write
// its entry after the batch. Pure; any thread.
#pragma once

#include <set>
#include <unordered_map>

#include "netproxy/build.h"

namespace podshim::netproxy {

// One element of an `aff` map.
struct Remembered {
  SetId map;
  Bytes key;   // client . front address . proto . port
  Bytes data;  // endpoint address . port
  std::uint64_t expires_ms = 0;
  bool operator==(const Remembered&) const = default;
};

// Who a client is, as the rules tell it: a Pod, this node, or from outside.
struct Sources {
  std::vector<Cidr> pods;
  std::vector<IpAddress> node;  // addresses of this node
  bool outside(const IpAddress& ip) const;
};

// An endpoint, a front or the affinity itself left: remembered clients of the Service need a look.
bool forgets(const ServiceModel& applied, const ServiceModel& desired);

class AffinityCheck {
 public:
  // Fronts of `applied` lead where `desired` says; what it has no more leads nowhere.
  void add(const ServiceModel& applied, const ServiceModel& desired);

  const std::set<SetId>& maps() const { return maps_; }
  bool empty() const { return maps_.empty(); }
  enum class Answer { keep, forget, of_others };
  Answer operator()(const Remembered& entry, const Sources& sources) const;

 private:
  struct Lists {
    std::set<Bytes> all, outside;  // endpoint address . port
  };
  struct PlaceHash {
    std::size_t operator()(const Place& p) const;
  };
  void collect(const ServiceModel& model, std::unordered_map<Place, Lists, PlaceHash>& out) const;

  std::set<SetId> maps_;
  std::unordered_map<Place, Lists, PlaceHash> fronts_;
};

}  // namespace podshim::netproxy
