#include "cni/bridge/plan.h"

namespace podshim::cni::bridge {
namespace {

std::string route_text(const netlink::Route& r) {
  std::string out = r.destination.str();
  if (r.gateway) out += " via " + r.gateway->str();
  if (r.mtu != 0) out += " mtu " + std::to_string(r.mtu);
  if (r.advmss != 0) out += " advmss " + std::to_string(r.advmss);
  if (r.priority != 0) out += " metric " + std::to_string(r.priority);
  if (r.table != 0) out += " table " + std::to_string(r.table);
  if (r.scope) out += " scope " + std::to_string(*r.scope);
  return out;
}

void print_bridge(const AddPlan& p, std::string& out) {
  auto line = [&](const std::string& text) { out += "node: " + text + "\n"; };
  if (p.create)
    line("create bridge " + p.bridge + " mtu " + std::to_string(p.bridge_mtu) + " mac " + p.bridge_mac.str());
  for (const auto& s : p.bridge_sysctls) line("sysctl " + s.key + " = " + s.value);
  if (p.bridge_nf_call) line("bridge " + p.bridge + " hands frames to the IP hooks");
  if (p.bridge_up) line("bridge " + p.bridge + " up");
  if (p.bridge_promisc) line("bridge " + p.bridge + " promiscuous");
  for (const auto& a : p.wrong_addresses) line("delete address " + a.str() + " of " + p.bridge);
  for (const auto& a : p.gateways) line("add address " + a.str() + " to " + p.bridge);
}

}  // namespace

std::string print(const AddPlan& p) {
  std::string out;
  print_bridge(p, out);
  auto node = [&](const std::string& text) { out += "node: " + text + "\n"; };
  auto pod = [&](const std::string& text) { out += "pod: " + text + "\n"; };
  if (p.rules) node("nftables table podshim_cni");
  for (const auto& m : p.masquerade) node("masquerade what leaves " + m.str());
  for (const auto& s : p.sysctls) node("sysctl " + s.key + " = " + s.value);
  node("create veth " + p.host_name + " mac " + p.host_mac.str() + " mtu " + std::to_string(p.mtu) + " in " + p.bridge +
       ", pod end " + p.pod_name + " mac " + p.pod_mac.str());
  node("port " + p.host_name + " up" + (p.hairpin ? ", hairpin" : "") + (p.isolated ? ", isolated" : "") + ", alias " +
       p.alias);
  for (const auto& s : p.pod_sysctls) pod("sysctl " + s.key + " = " + s.value);
  for (const auto& a : p.addresses)
    if (a.address.is_v4()) pod("add address " + a.str() + " to " + p.pod_name);
  pod(p.pod_name + " up");
  for (const auto& a : p.addresses)
    if (!a.address.is_v4()) pod("add address " + a.str() + " to " + p.pod_name);
  for (const auto& r : p.routes) pod("add route " + route_text(r));
  for (const auto& n : p.neighbours) node("neighbour " + n.str() + " is " + p.pod_mac.str() + " on " + p.bridge);
  for (const auto& n : p.proxied) node("answer for " + n.str() + " on " + p.bridge);
  pod("announce");
  return out;
}

}  // namespace podshim::cni::bridge
