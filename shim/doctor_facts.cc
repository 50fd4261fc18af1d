#include <net/if.h>
#include <unistd.h>

#include "common/netlink/route.h"
#include "common/sys/file.h"
#include "shim/cni_client/network.h"
#include "shim/doctor.h"

namespace podshim {
namespace {

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h: a request that changes nothing and that only nf_tables
// answers.
constexpr std::uint16_t kGetGeneration = (10 << 8) | 16;  // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
struct NetfilterHeader {
  std::uint8_t family = 0, version = 0;
  std::uint16_t resource = 0;
};

std::optional<std::string> sysctl(const char* path) {
  auto text = sys::read_file(path, 256);
  if (!text) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::string ask_nf_tables() {
  auto socket = netlink::Socket::open(netlink::Protocol::netfilter);
  if (!socket) return socket.error().text();
  netlink::Batch request;
  request.begin("ask for the generation", "nf_tables", "", kGetGeneration, 0, NetfilterHeader{});
  auto answer = socket->query(request, [](const netlink::Message&) {});
  return answer ? "" : answer.error().text();
}

void look_at_uplinks(DoctorFacts* out) {
  auto socket = netlink::Socket::open(netlink::Protocol::route);
  if (!socket) return;
  for (const Family family : {Family::v4, Family::v6}) {
    const auto routes = netlink::list_routes(*socket, family);
    if (!routes) continue;
    for (const auto& route : *routes)
      if (route.destination.prefix == 0) {
        out->default_route = true;
        char name[IF_NAMESIZE] = "";
        if (family != Family::v4 || out->ip_forward != "1" || ::if_indextoname(route.link, name) == nullptr) continue;
        const std::string file = std::string("/proc/sys/net/ipv4/conf/") + name + "/forwarding";
        if (sysctl(file.c_str()) == "0") out->deaf_uplinks.push_back(name);
      }
  }
}

void look_at_network(const Config& config, DoctorFacts* out) {
  const auto list = cni::load_network(config.podshim.cni_conf_dir);
  if (!list) {
    out->network_error = list.error().text();
    return;
  }
  out->network_name = list->name;
  out->network_source = list->source;
  cni::ExecRunner runner;  // nothing is run: the look-up is the client's own
  const cni::Network network(runner, config.podshim.cni_bin_dirs, config.podshim.cni_timeout);
  for (const auto& plugin : list->plugins) {
    if (!network.find_plugin(plugin.type)) out->missing_plugins.push_back(plugin.type);
    const auto* ipam = plugin.config.find("ipam");
    const auto* type = ipam != nullptr ? ipam->find("type") : nullptr;
    if (type != nullptr && type->is_string() && !network.find_plugin(type->as_string()))
      out->missing_plugins.push_back(type->as_string());
  }
}

}  // namespace

DoctorFacts gather_doctor_facts(const Config& config, const HostFacts& host) {
  DoctorFacts out;
  out.host = host;
  out.root = ::geteuid() == 0;
  const auto filesystems = sys::read_file("/proc/filesystems");
  out.overlay = filesystems && filesystems->find("\toverlay\n") != std::string::npos;
  out.ip_forward = sysctl("/proc/sys/net/ipv4/ip_forward");
  out.bridge_nf_call = sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables");
  out.nf_tables_error = ask_nf_tables();
  look_at_uplinks(&out);
  look_at_network(config, &out);
  return out;
}

}  // namespace podshim
