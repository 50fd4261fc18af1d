// service: what main makes of all this: the address, the server, and the changes that the tracker saw. One thread, that
// of the tracker. The address stays, as the rules do
// (address.h).
#pragma once

#include <memory>
#include <set>

#include "netproxy/dns/address.h"
#include "netproxy/dns/server.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy::dns {

class Service {
 public:
  // Nothing: the config does not want DNS. All that the tracker has is published; from then on publish() has what
  // changed. Clients are answered from start() on.
  static Result<std::unique_ptr<Service>> open(const Config& config, const std::vector<Cidr>& pods, Tracker& tracker);
  ~Service();

  void start();
  void publish();

 private:
  Service(Tracker& tracker, NodeAddress address) : tracker_(tracker), address_(std::move(address)) {}

  Tracker& tracker_;
  NodeAddress address_;  // outlives the server that is bound to it
  std::unique_ptr<Server> server_;
  std::set<std::string> changed_;
};

}  // namespace podshim::netproxy::dns
