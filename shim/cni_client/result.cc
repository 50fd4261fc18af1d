#include "shim/cni_client/result.h"

namespace podshim::cni {
namespace {

Result<Cidr> cidr(const json::Reader& in, const char* name) {
  auto parsed = Cidr::parse(TRY(in.string(name)));
  if (!parsed) return fail(in.error(name, parsed.error().text()));
  return *parsed;
}

Result<std::optional<IpAddress>> gateway(const json::Reader& in, const char* name) {
  std::string text = TRY(in.string_or(name, ""));
  if (text.empty()) return std::nullopt;
  auto parsed = IpAddress::parse(text);
  if (!parsed) return fail(in.error(name, parsed.error().text()));
  return *parsed;
}

Result<IpConfig> ip_config(const json::Reader& in, std::size_t interfaces) {
  IpConfig out;
  out.address = TRY(cidr(in, "address"));
  out.gateway = TRY(gateway(in, "gateway"));
  if (auto index = TRY(in.opt_integer("interface"))) {
    // Some plugins of old say -1 for "none"; any other index must exist.
    if (*index >= 0 && static_cast<std::size_t>(*index) >= interfaces)
      return fail(in.error("interface", std::to_string(*index) + " is not in the list of interfaces"));
    if (*index >= 0) out.interface = static_cast<std::size_t>(*index);
  }
  return out;
}

Result<Answer> decode(const json::Value& value) {
  auto in = TRY(json::Reader::of(value));
  Answer out;
  auto version = Version::parse(TRY(in.string_or("cniVersion", "")));
  if (!version) return fail(in.error("cniVersion", version.error().detail));
  out.version = *version;
  for (const auto& i : TRY(in.objects("interfaces")))
    out.interfaces.push_back({.name = TRY(i.string("name")),
                              .mac = TRY(i.string_or("mac", "")),
                              .sandbox = TRY(i.string_or("sandbox", ""))});
  for (const auto& ip : TRY(in.objects("ips"))) out.ips.push_back(TRY(ip_config(ip, out.interfaces.size())));
  for (const auto& r : TRY(in.objects("routes")))
    out.routes.push_back({.destination = TRY(cidr(r, "dst")), .gateway = TRY(gateway(r, "gw"))});
  if (auto dns = TRY(in.opt_object("dns"))) {
    out.dns_servers = TRY(dns->strings("nameservers"));
    out.dns_searches = TRY(dns->strings("search"));
  }
  return out;
}

}  // namespace

std::vector<IpAddress> Answer::addresses(const std::string& ifname) const {
  std::vector<IpAddress> out;
  for (const auto& ip : ips) {
    if (ip.interface && (interfaces[*ip.interface].sandbox.empty() || interfaces[*ip.interface].name != ifname))
      continue;
    out.push_back(ip.address.address);
  }
  return out;
}

Result<Answer> decode_answer(const json::Value& value) {
  auto out = decode(value);
  if (!out) {
    out.error().kind = ErrorKind::unavailable;  // another program's mistake, not the caller's
    out.error().op = "read CNI result";
  }
  return out;
}

}  // namespace podshim::cni
