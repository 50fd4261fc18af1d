#include "netproxy/dns/service.h"

#include "common/log.h"

namespace podshim::netproxy::dns {

Result<std::unique_ptr<Service>> Service::open(const Config& config, const std::vector<Cidr>& pods, Tracker& tracker) {
  if (!config.serves_dns()) return nullptr;
  ServerOptions options{.addresses = {config.cluster_dns},
                        .domain = config.cluster_domain,
                        .pods = pods,
                        .services = config.service_cidr,
                        .upstream = config.netproxy.dns_upstream,
                        .timeout = config.netproxy.dns_timeout};
  auto address = TRY_IN(NodeAddress::claim(options.addresses), "serve cluster DNS");
  std::unique_ptr<Service> out(new Service(tracker, std::move(address)));
  out->server_ = TRY_IN(Server::open(options), "serve cluster DNS");
  TRY_IN(out->address_.leave(), "serve cluster DNS");
  for (auto& key : tracker.services()) out->changed_.insert(std::move(key));
  tracker.listen([raw = out.get()](const std::string& key) { raw->changed_.insert(key); });
  return out;
}

Service::~Service() { tracker_.listen({}); }

void Service::start() {
  publish();
  server_->run();
}

void Service::publish() {
  std::vector<Change> changes;
  changes.reserve(changed_.size());
  for (const auto& key : changed_) {
    auto& change = changes.emplace_back(Change{.key = key, .records = std::nullopt});
    const auto* service = tracker_.service(key);
    if (service == nullptr) continue;
    change.records = records_of(*service, tracker_.slices(key));
    if (service->type == kube::ServiceType::external_name && change.records->external_name.empty())
      log::warn("externalName is no DNS name", {{"service", key}, {"name", service->external_name}});
  }
  changed_.clear();
  server_->publish(std::move(changes));
}

}  // namespace podshim::netproxy::dns
