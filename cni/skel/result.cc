#include "cni/skel/result.h"

namespace podshim::cni {
namespace {

using json::Reader;
using json::Value;

Result<Cidr> read_cidr(const Reader& r, const char* name) {
  auto text = TRY(r.string(name));
  auto cidr = Cidr::parse(text);
  if (!cidr) return fail(r.error(name, cidr.error().detail));
  return *cidr;
}

Result<std::optional<IpAddress>> read_address(const Reader& r, const char* name) {
  auto text = TRY(r.opt_string(name));
  if (!text || text->empty()) return std::nullopt;
  auto ip = IpAddress::parse(*text);
  if (!ip) return fail(r.error(name, ip.error().detail));
  return *ip;
}

Result<Interface> read_interface(const Reader& r) {
  Interface out;
  out.name = TRY(r.string("name"));
  out.mac = TRY(r.string_or("mac", ""));
  out.mtu = static_cast<std::uint32_t>(TRY(r.integer_or("mtu", 0, 0, UINT32_MAX)));
  out.sandbox = TRY(r.string_or("sandbox", ""));
  return out;
}

Result<IpConfig> read_ip(const Reader& r, std::size_t interfaces) {
  IpConfig out;
  out.address = TRY(read_cidr(r, "address"));
  out.gateway = TRY(read_address(r, "gateway"));
  if (auto index = TRY(r.opt_integer("interface", 0, INT32_MAX))) {
    if (static_cast<std::size_t>(*index) >= interfaces)
      return fail(r.error("interface", std::to_string(*index) + " is not an index of the interfaces"));
    out.interface = static_cast<int>(*index);
  }
  return out;
}

Result<RouteConfig> read_route(const Reader& r) {
  RouteConfig out;
  out.dst = TRY(read_cidr(r, "dst"));
  out.gw = TRY(read_address(r, "gw"));
  out.mtu = static_cast<std::uint32_t>(TRY(r.integer_or("mtu", 0, 0, UINT32_MAX)));
  out.advmss = static_cast<std::uint32_t>(TRY(r.integer_or("advmss", 0, 0, UINT32_MAX)));
  out.priority = static_cast<std::uint32_t>(TRY(r.integer_or("priority", 0, 0, UINT32_MAX)));
  if (auto table = TRY(r.opt_integer("table", 0, UINT32_MAX))) out.table = static_cast<std::uint32_t>(*table);
  if (auto scope = TRY(r.opt_integer("scope", 0, 255))) out.scope = static_cast<std::uint8_t>(*scope);
  if (out.gw && out.gw->family() != out.dst.address.family())
    return fail(r.error("gw", out.gw->str() + " is not of the family of " + out.dst.str()));
  return out;
}

Value encode_route(const RouteConfig& r, Version version) {
  auto out = Value::object();
  out.set("dst", r.dst.str());
  if (r.gw) out.set("gw", r.gw->str());
  if (!results_carry_metrics(version)) return out;
  if (r.mtu != 0) out.set("mtu", r.mtu);
  if (r.advmss != 0) out.set("advmss", r.advmss);
  if (r.priority != 0) out.set("priority", r.priority);
  if (r.table) out.set("table", *r.table);
  if (r.scope) out.set("scope", static_cast<unsigned>(*r.scope));
  return out;
}

Value encode_interface(const Interface& i, Version version) {
  auto out = Value::object();
  out.set("name", i.name);
  if (!i.mac.empty()) out.set("mac", i.mac);
  if (i.mtu != 0 && results_carry_metrics(version)) out.set("mtu", i.mtu);
  if (!i.sandbox.empty()) out.set("sandbox", i.sandbox);
  return out;
}

Value encode_dns(const Dns& d) {
  auto out = Value::object();
  if (!d.nameservers.empty()) out.set("nameservers", Value::strings(d.nameservers));
  if (!d.domain.empty()) out.set("domain", d.domain);
  if (!d.search.empty()) out.set("search", Value::strings(d.search));
  if (!d.options.empty()) out.set("options", Value::strings(d.options));
  return out;
}

}  // namespace

Result<std::vector<RouteConfig>> parse_routes(const Reader& parent, const char* name) {
  std::vector<RouteConfig> out;
  auto items = TRY(parent.objects(name));
  for (const auto& item : items) out.push_back(TRY(read_route(item)));
  return out;
}

Result<Dns> parse_dns(const Reader& parent, const char* name) {
  Dns out;
  auto r = TRY(parent.opt_object(name));
  if (!r) return out;
  out.nameservers = TRY(r->strings("nameservers"));
  out.domain = TRY(r->string_or("domain", ""));
  out.search = TRY(r->strings("search"));
  out.options = TRY(r->strings("options"));
  return out;
}

Result<AddResult> parse_result(const Value& value, const std::string& path) {
  AddResult out;
  auto r = TRY(Reader::of(value, path));
  auto interfaces = TRY(r.objects("interfaces"));
  for (const auto& item : interfaces) out.interfaces.push_back(TRY(read_interface(item)));
  auto ips = TRY(r.objects("ips"));
  for (const auto& item : ips) out.ips.push_back(TRY(read_ip(item, interfaces.size())));
  out.routes = TRY(parse_routes(r, "routes"));
  out.dns = TRY(parse_dns(r, "dns"));
  return out;
}

Value encode(const AddResult& result, Version version) {
  auto out = Value::object();
  out.set("cniVersion", name_of(version));
  if (!result.interfaces.empty()) {
    auto list = Value::array();
    for (const auto& i : result.interfaces) list.push(encode_interface(i, version));
    out.set("interfaces", std::move(list));
  }
  auto ips = Value::array();
  for (const auto& ip : result.ips) {
    auto item = Value::object();
    if (addresses_carry_family(version)) item.set("version", ip.address.address.is_v4() ? "4" : "6");
    if (ip.interface) item.set("interface", *ip.interface);
    item.set("address", ip.address.str());
    if (ip.gateway) item.set("gateway", ip.gateway->str());
    ips.push(std::move(item));
  }
  if (!result.ips.empty()) out.set("ips", std::move(ips));
  if (!result.routes.empty()) {
    auto routes = Value::array();
    for (const auto& route : result.routes) routes.push(encode_route(route, version));
    out.set("routes", std::move(routes));
  }
  out.set("dns", encode_dns(result.dns));
  return out;
}

}  // namespace podshim::cni
