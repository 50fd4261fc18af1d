#include "common/kube/pod.h"

#include <algorithm>
#include <set>

#include "common/kube/choice.h"

namespace podshim::kube {
namespace {

constexpr Choice<RestartPolicy> kRestartPolicies[] = {
    {"Always", RestartPolicy::always}, {"OnFailure", RestartPolicy::on_failure}, {"Never", RestartPolicy::never}};
constexpr Choice<DnsPolicy> kDnsPolicies[] = {{"ClusterFirst", DnsPolicy::cluster_first},
                                              {"ClusterFirstWithHostNet", DnsPolicy::cluster_first_with_host_net},
                                              {"Default", DnsPolicy::default_},
                                              {"None", DnsPolicy::none}};

// Fields that have no meaning on one node without an API server, and change nothing by being there.
constexpr const char* kIrrelevant[] = {"serviceAccountName",
                                       "serviceAccount",
                                       "automountServiceAccountToken",
                                       "nodeSelector",
                                       "affinity",
                                       "tolerations",
                                       "topologySpreadConstraints",
                                       "schedulerName",
                                       "priority",
                                       "priorityClassName",
                                       "preemptionPolicy",
                                       "imagePullSecrets"};

Result<PodDns> decode_dns(const json::Reader& r, Unknowns& unknowns) {
  PodDns out;
  out.servers = TRY(r.strings("nameservers"));
  for (const auto& server : out.servers)
    if (!IpAddress::parse(server)) return fail(r.error("nameservers", "\"" + server + "\" is not an IP address"));
  if (out.servers.size() > 3) return fail(r.error("nameservers", "must not have more than 3 nameservers"));
  out.searches = TRY(r.strings("searches"));
  if (out.searches.size() > 32) return fail(r.error("searches", "must not have more than 32 search paths"));
  for (const auto& option : TRY(r.objects("options"))) {
    auto name = TRY(option.string("name"));
    auto value = TRY(option.string_or("value", ""));
    out.options.push_back(value.empty() ? name : name + ":" + value);
    note_unknown(option, unknowns);
  }
  note_unknown(r, unknowns);
  return out;
}

Result<> decode_host(const json::Reader& r, PodSpec& s, Unknowns& unknowns) {
  for (auto [name, field] : {std::pair{"hostname", &s.hostname}, std::pair{"subdomain", &s.subdomain}}) {
    *field = TRY(r.string_or(name, ""));
    if (!field->empty() && !is_dns_label(*field)) return fail(r.error(name, "\"" + *field + "\" is not a DNS label"));
  }
  s.node_name = TRY(r.string_or("nodeName", ""));
  s.host_network = TRY(r.boolean_or("hostNetwork", false));
  s.host_pid = TRY(r.boolean_or("hostPID", false));
  s.host_ipc = TRY(r.boolean_or("hostIPC", false));
  s.share_process_namespace = TRY(r.boolean_or("shareProcessNamespace", false));
  if (s.host_pid && s.share_process_namespace) return fail(r.error("shareProcessNamespace", "stands beside hostPID"));
  if (TRY(r.boolean_or("hostUsers", true)) == false)
    return fail(r.error("hostUsers", "false is not supported: user namespaces are not made yet"));
  s.dns_policy = TRY(choose(r, "dnsPolicy", kDnsPolicies));
  if (auto dns = TRY(r.opt_object("dnsConfig"))) s.dns = TRY(decode_dns(*dns, unknowns));
  if (s.dns_policy == DnsPolicy::none && s.dns.servers.empty())
    return fail(r.error("dnsConfig", "needs nameservers with dnsPolicy None"));
  for (const auto& one : TRY(r.objects("hostAliases"))) {
    HostAlias alias{.ip = TRY(one.string("ip")), .names = TRY(one.strings("hostnames"))};
    if (!IpAddress::parse(alias.ip)) return fail(one.error("ip", "\"" + alias.ip + "\" is not an IP address"));
    for (const auto& name : alias.names)
      if (!is_dns_subdomain(name)) return fail(one.error("hostnames", "\"" + name + "\" is not a DNS name"));
    note_unknown(one, unknowns);
    s.host_aliases.push_back(std::move(alias));
  }
  return {};
}

Result<> decode_containers(const json::Reader& r, PodSpec& s, Unknowns& unknowns) {
  std::set<std::string> names;
  for (bool init : {true, false}) {
    const char* field = init ? "initContainers" : "containers";
    auto& list = init ? s.init_containers : s.containers;
    for (const auto& one : TRY(r.objects(field))) {
      auto c = TRY(decode_container(one, unknowns));
      if (!names.insert(c.name).second) return fail(one.error("name", "\"" + c.name + "\" is there twice"));
      if (!init && c.restart_always) return fail(one.error("restartPolicy", "is for init containers only"));
      if (init && !c.restart_always && (c.readiness || c.liveness || c.startup || c.pre_stop || c.post_start))
        return fail(one.error("", "an init container has probes and lifecycle only with restartPolicy Always"));
      list.push_back(std::move(c));
    }
  }
  if (s.containers.empty()) return fail(r.error("containers", "is empty; a Pod needs one container at least"));
  if (r.get("ephemeralContainers") != nullptr)
    return fail(r.error("ephemeralContainers", "cannot be given in a manifest"));
  return {};
}

Result<> check_mounts(const json::Reader& r, const PodSpec& s) {
  std::set<std::string> volumes;
  for (const auto& v : s.volumes)
    if (!volumes.insert(v.name).second) return fail(r.error("volumes", "\"" + v.name + "\" is there twice"));
  for (const auto* list : {&s.init_containers, &s.containers}) {
    const char* field = list == &s.containers ? "containers" : "initContainers";
    for (std::size_t i = 0; i < list->size(); i++) {
      for (const auto& m : (*list)[i].mounts) {
        if (!volumes.contains(m.name))
          return fail(r.error(std::string(field) + "[" + std::to_string(i) + "].volumeMounts",
                              "\"" + m.name + "\" is not the name of a volume of this Pod"));
      }
    }
  }
  return {};
}

// With hostNetwork a container's port is the host's; without, two containers cannot claim one host port.
Result<> check_host_ports(const json::Reader& r, PodSpec& s) {
  std::set<std::tuple<std::string, Protocol, int>> taken;
  for (auto& c : s.containers) {
    for (auto& p : c.ports) {
      if (s.host_network) {
        if (p.host_port != 0 && p.host_port != p.container_port)
          return fail(r.error("containers", c.name + ": hostPort " + std::to_string(p.host_port) +
                                                " must equal containerPort with hostNetwork"));
        p.host_port = p.container_port;
      }
      if (p.host_port != 0 && !taken.emplace(p.host_ip, p.protocol, p.host_port).second)
        return fail(r.error("containers", c.name + ": hostPort " + std::to_string(p.host_port) + " is there twice"));
    }
  }
  return {};
}

}  // namespace

const Container* PodSpec::find(std::string_view container) const {
  for (const auto* list : {&init_containers, &containers})
    for (const auto& c : *list)
      if (c.name == container) return &c;
  return nullptr;
}

Result<PodSpec> decode_pod_spec(const json::Reader& r, Unknowns& unknowns) {
  PodSpec s;
  TRY(decode_containers(r, s, unknowns));
  for (const auto& one : TRY(r.objects("volumes"))) s.volumes.push_back(TRY(decode_volume(one, unknowns)));
  TRY(check_mounts(r, s));
  s.restart_policy = TRY(choose(r, "restartPolicy", kRestartPolicies));
  s.grace = std::chrono::seconds(TRY(r.integer_or("terminationGracePeriodSeconds", 30, 0, 1'000'000'000)));
  if (auto deadline = TRY(r.opt_integer("activeDeadlineSeconds", 1, INT32_MAX)))
    s.active_deadline = std::chrono::seconds(*deadline);
  TRY(decode_host(r, s, unknowns));
  TRY(check_host_ports(r, s));
  s.service_links = TRY(r.boolean_or("enableServiceLinks", true));
  if (auto security = TRY(r.opt_object("securityContext")))
    s.security = TRY(decode_security(*security, true, unknowns));
  for (const char* name : kIrrelevant) r.ignore(name);
  if (auto os = TRY(r.opt_object("os")); os && TRY(os->string("name")) != "linux")
    return fail(os->error("name", "only linux runs here"));
  note_unknown(r, unknowns);
  return s;
}

Result<Pod> decode_pod(const json::Reader& object, Unknowns& unknowns) {
  TRY(expect_type(object, "v1", "Pod"));
  Pod pod;
  pod.meta = TRY(decode_meta(object, unknowns));
  auto spec = TRY(object.object("spec"));
  pod.spec = TRY(decode_pod_spec(spec, unknowns));
  object.ignore("status");
  note_unknown(object, unknowns);
  return pod;
}

}  // namespace podshim::kube
