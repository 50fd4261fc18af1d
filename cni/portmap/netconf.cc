#include "cni/portmap/netconf.h"

#include <algorithm>
#include <array>

namespace podshim::cni::portmap {
namespace {

using json::Reader;

struct Name {
  Protocol protocol;
  const char* text;
};
constexpr std::array<Name, 3> kNames = {{{Protocol::tcp, "tcp"}, {Protocol::udp, "udp"}, {Protocol::sctp, "sctp"}}};

Result<Protocol> read_protocol(const Reader& r) {
  auto text = TRY(r.string_or("protocol", "tcp"));
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text.empty()) return Protocol::tcp;
  for (const auto& n : kNames)
    if (text == n.text) return n.protocol;
  return fail(r.error("protocol", "\"" + text + "\" is none of tcp, udp, sctp"));
}

Result<PortMapping> read_mapping(const Reader& r) {
  PortMapping out;
  out.protocol = TRY(read_protocol(r));
  out.host_port = static_cast<std::uint16_t>(TRY(r.integer("hostPort", 1, 65535)));
  out.container_port = static_cast<std::uint16_t>(TRY(r.integer("containerPort", 1, 65535)));
  auto text = TRY(r.string_or("hostIP", ""));
  if (text.empty()) return out;
  auto ip = IpAddress::parse(text);
  if (!ip) return fail(r.error("hostIP", ip.error().detail));
  out.host_ip = *ip;
  return out;
}

Result<> refuse_unsupported(const Reader& r) {
  for (const char* name : {"masqAll", "conditionsV4", "conditionsV6"}) {
    const auto* v = r.get(name);
    if (v == nullptr || *v == json::Value(false) || *v == json::Value::array()) continue;
    return fail(Error::of(ErrorKind::unimplemented, "unsupported field", r.field(name) + ": " + json::dump(*v)));
  }
  auto backend = TRY(r.opt_string("backend"));
  if (backend && !backend->empty() && *backend != "nftables")
    return fail(
        Error::of(ErrorKind::unimplemented, "unsupported field", "backend: " + *backend, "only nftables is used"));
  return {};
}

}  // namespace

const char* name_of(Protocol p) {
  for (const auto& n : kNames)
    if (n.protocol == p) return n.text;
  return "?";
}

Result<NetConf> decode(const Request& request) {
  auto r = TRY(Reader::of(request.config));
  TRY(refuse_unsupported(r));
  NetConf out{.network = request.network};
  out.snat = TRY(r.boolean_or("snat", true));
  auto runtime = TRY(r.opt_object("runtimeConfig"));
  if (!runtime) return out;
  auto items = TRY(runtime->objects("portMappings"));
  for (const auto& item : items) {
    out.mappings.push_back(TRY(read_mapping(item)));
    auto same = std::find(out.mappings.begin(), out.mappings.end() - 1, out.mappings.back());
    if (same != out.mappings.end() - 1) out.mappings.pop_back();  // said twice is said once
  }
  return out;
}

}  // namespace podshim::cni::portmap
