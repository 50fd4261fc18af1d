#include "podlet/describe_page.h"

namespace podshim::podlet {
namespace {

const char* policy_text(kube::TrafficPolicy p) { return p == kube::TrafficPolicy::local ? "Local" : "Cluster"; }

void ports(Page& page, const kube::Service& s) {
  for (const auto& p : s.ports) {
    auto protocol = "/" + std::string(kube::protocol_name(p.protocol));
    std::string name = (p.name.empty() ? "<unset>" : p.name) + "  ";
    page.line("Port", name + std::to_string(p.port) + protocol);
    page.line("TargetPort",
              (p.target_port.name.empty() ? std::to_string(p.target_port.number) : p.target_port.name) + protocol);
    if (p.node_port != 0) page.line("NodePort", name + std::to_string(p.node_port) + protocol);
  }
}

// Where it is reached besides its ClusterIP, and by what rules.
void reach(Page& page, const Node& node, const kube::Service& s) {
  if (s.type == kube::ServiceType::external_name) page.line("External Name", s.external_name);
  if (s.type == kube::ServiceType::load_balancer) {
    auto pending = node.allocation().pending.find(s.meta.key());
    page.line("LB Ingress", pending == node.allocation().pending.end() ? joined_addresses(s.load_balancer_ips)
                                                                       : "<pending> (" + pending->second + ")");
  }
  if (!s.external_ips.empty()) page.line("External IPs", joined_addresses(s.external_ips));
  std::string ranges;
  for (const auto& cidr : s.source_ranges) ranges += (ranges.empty() ? "" : ",") + cidr.str();
  if (!ranges.empty()) page.line("Source Ranges", ranges);
}

void rules(Page& page, const Node& node, const kube::Service& s) {
  if (s.type == kube::ServiceType::external_name) return;
  page.line("Session Affinity",
            s.affinity_seconds ? "ClientIP (" + std::to_string(*s.affinity_seconds) + "s)" : "None");
  bool external = s.type != kube::ServiceType::cluster_ip || !s.external_ips.empty();
  if (external) page.line("External Traffic Policy", policy_text(s.external_policy));
  const auto& pending = node.allocation().health_pending;
  if (auto why = pending.find(s.meta.key()); why != pending.end())
    page.line("HealthCheck NodePort", "<pending> (" + why->second + ")");
  if (s.health_check_node_port != 0) page.line("HealthCheck NodePort", std::to_string(s.health_check_node_port));
  page.line("Internal Traffic Policy", policy_text(s.internal_policy));
}

}  // namespace

std::string describe_service(const Node& node, const ManifestObject& object) {
  Page page;
  const auto& s = as_served(node, std::get<kube::Service>(object.value));
  page.line("Name", s.meta.name);
  page.line("Namespace", s.meta.name_space);
  page.map("Labels", s.meta.labels);
  page.map("Annotations", s.meta.annotations);
  page.line("Selector", kube::labels_text(s.selector));
  page.line("Type", service_type_text(s));
  if (auto refused = node.allocation().refused.find(s.meta.key()); refused != node.allocation().refused.end())
    page.line("Refused", refused->second);
  page.line("IP", cluster_ip_text(node, s));
  reach(page, node, s);
  ports(page, s);
  auto slices = slices_of(node, s.meta.name_space, s.meta.name);
  page.line("Endpoints", endpoints_text(slices, 0));
  if (is_refused(node, s)) {
    page.raw("  the Service is refused");  // whatever its Pods are like
  } else {
    for (const auto& why : explain_none(s, node.backends(), slices)) page.raw("  " + why);
  }
  rules(page, node, s);
  page.events(node, object.key);
  return page.take();
}

}  // namespace podshim::podlet
