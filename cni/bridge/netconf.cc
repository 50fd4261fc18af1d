#include "cni/bridge/netconf.h"

namespace podshim::cni::bridge {
namespace {

using json::Reader;

constexpr std::size_t kMaxIfName = 15;

Error unsupported(const Reader& r, const char* field, const std::string& value, const std::string& why) {
  return Error::of(ErrorKind::unimplemented, "unsupported field", r.field(field) + ": " + value, why);
}

// Known to the bridge plugin of others, not to this one: absent, null, false, 0 and [] change nothing.
Result<> refuse_unsupported(const Reader& r) {
  struct Field {
    const char* name;
    const char* why;
  };
  for (const auto& f : {Field{"vlan", "VLANs are not supported"}, Field{"vlanTrunk", "VLANs are not supported"},
                        Field{"macspoofchk", "MAC spoofing checks are not supported"},
                        Field{"enabledad", "duplicate address detection is never waited for"},
                        Field{"disableContainerInterface", "an interface is always made"}}) {
    const auto* v = r.get(f.name);
    if (v == nullptr || *v == json::Value(false) || *v == json::Value(0) || *v == json::Value::array()) continue;
    return fail(unsupported(r, f.name, json::dump(*v), f.why));
  }
  auto backend = TRY(r.opt_string("ipMasqBackend"));
  if (backend && !backend->empty() && *backend != "nftables")
    return fail(unsupported(r, "ipMasqBackend", *backend, "only nftables is used"));
  return {};
}

// runtimeConfig.mac wins over args.cni.mac, that over MAC in CNI_ARGS.
Result<std::optional<netlink::Mac>> read_mac(const Request& request, const Reader& r) {
  std::string text;
  std::string field = "CNI_ARGS MAC";
  if (auto it = request.args.find("mac"); it != request.args.end()) text = it->second;
  auto take = [&](const Reader& at) -> Result<> {
    auto value = TRY(at.string_or("mac", ""));
    if (!value.empty()) text = value, field = at.field("mac");
    return {};
  };
  if (auto args = TRY(r.opt_object("args")))
    if (auto cni = TRY(args->opt_object("cni"))) TRY(take(*cni));
  if (auto runtime = TRY(r.opt_object("runtimeConfig"))) TRY(take(*runtime));
  if (text.empty()) return std::nullopt;
  auto mac = netlink::Mac::parse(text);
  if (!mac) return fail(Error::invalid(field, mac.error().detail));
  return *mac;
}

}  // namespace

Result<NetConf> decode(const Request& request) {
  auto r = TRY(Reader::of(request.config));
  TRY(refuse_unsupported(r));
  NetConf out{.network = request.network};
  out.bridge = TRY(r.string_or("bridge", out.bridge));
  if (out.bridge.empty()) out.bridge = "cni0";
  if (out.bridge.size() > kMaxIfName || out.bridge.find_first_of("/: \t\n") != std::string::npos || out.bridge == "." ||
      out.bridge == "..")
    return fail(r.error("bridge", "\"" + out.bridge + "\" is not a legal interface name"));
  out.is_default_gateway = TRY(r.boolean_or("isDefaultGateway", false));
  out.is_gateway = TRY(r.boolean_or("isGateway", false)) || out.is_default_gateway;
  out.force_address = TRY(r.boolean_or("forceAddress", false));
  out.ip_masq = TRY(r.boolean_or("ipMasq", false));
  out.hairpin = TRY(r.boolean_or("hairpinMode", false));
  out.promisc = TRY(r.boolean_or("promiscMode", false));
  if (out.hairpin && out.promisc) return fail(r.error("promiscMode", "cannot be set together with hairpinMode"));
  out.port_isolation = TRY(r.boolean_or("portIsolation", false));
  out.mtu = static_cast<std::uint32_t>(TRY(r.integer_or("mtu", 0, 0, 65535)));
  if (out.mtu != 0 && out.mtu < 68)
    return fail(r.error("mtu", std::to_string(out.mtu) + " is below 68, the least of IPv4"));
  out.mac = TRY(read_mac(request, r));
  if (auto ipam = TRY(r.opt_object("ipam"))) out.ipam_type = TRY(ipam->string_or("type", ""));
  out.dns = TRY(parse_dns(r, "dns"));
  return out;
}

std::string bridge_of(const Request& request) {
  const auto* name = request.config.find("bridge");
  return name != nullptr && name->is_string() && !name->as_string().empty() ? name->as_string() : "cni0";
}

std::string ipam_type_of(const Request& request) {
  const auto* section = request.config.find("ipam");
  const auto* type = section != nullptr ? section->find("type") : nullptr;
  return type != nullptr && type->is_string() ? type->as_string() : "";
}

}  // namespace podshim::cni::bridge
