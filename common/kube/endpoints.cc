#include "common/kube/endpoints.h"

namespace podshim::kube {
namespace {

Result<> read_addresses(const json::Reader& subset, const char* field, bool ready, std::vector<Endpoint>& out,
                        Unknowns& unknowns) {
  for (const auto& r : TRY(subset.objects(field))) {
    Endpoint e{.ready = ready, .serving = ready};
    auto text = TRY(r.string("ip"));
    auto ip = IpAddress::parse(text);
    if (!ip) return fail(r.error("ip", ip.error().detail));
    if (ip->is_loopback() || ip->is_unspecified()) return fail(r.error("ip", text + " cannot be an endpoint"));
    e.addresses.push_back(*ip);
    e.hostname = TRY(r.string_or("hostname", ""));
    e.node_name = TRY(r.string_or("nodeName", ""));
    if (auto target = TRY(r.opt_object("targetRef")); target && TRY(target->string_or("kind", "")) == "Pod")
      e.target_name = TRY(target->string_or("name", ""));
    note_unknown(r, unknowns);
    out.push_back(std::move(e));
  }
  return {};
}

}  // namespace

Result<std::vector<EndpointSlice>> decode_endpoints(const json::Reader& object, Unknowns& unknowns) {
  TRY(expect_type(object, "v1", "Endpoints"));
  auto meta = TRY(decode_meta(object, unknowns));
  std::vector<EndpointSlice> out;
  for (const auto& subset : TRY(object.objects("subsets"))) {
    std::vector<Endpoint> all;
    TRY(read_addresses(subset, "addresses", true, all, unknowns));
    TRY(read_addresses(subset, "notReadyAddresses", false, all, unknowns));
    std::vector<EndpointPort> ports;
    for (const auto& r : TRY(subset.objects("ports"))) {
      ports.push_back({.name = TRY(r.string_or("name", "")),
                       .protocol = TRY(decode_protocol(r)),
                       .port = static_cast<int>(TRY(r.integer("port", 1, 65535)))});
      r.ignore("appProtocol");
      note_unknown(r, unknowns);
    }
    note_unknown(subset, unknowns);
    for (Family family : {Family::v4, Family::v6}) {
      EndpointSlice slice{.meta = meta, .service_name = meta.name, .family = family, .ports = ports};
      slice.meta.name += "-" + std::to_string(out.size());
      for (const auto& e : all)
        if (e.addresses.front().family() == family) slice.endpoints.push_back(e);
      if (!slice.endpoints.empty()) out.push_back(std::move(slice));
    }
  }
  note_unknown(object, unknowns);
  return out;
}

}  // namespace podshim::kube
