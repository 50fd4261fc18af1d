#include <algorithm>

#include "podlet/describe_page.h"

namespace podshim::podlet {
namespace {

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& s : list) out += (out.empty() ? "" : " ") + s;
  return out.empty() ? "<none>" : out;
}

void ended(Page& page, const std::string& name, const ContainerStatus::Ended& e) {
  page.line(name, "Terminated", 4);
  page.line("Reason", e.reason, 6);
  if (!e.message.empty()) page.line("Message", e.message, 6);
  page.line("Exit Code", std::to_string(e.exit_code), 6);
  page.line("Started", rfc3339(e.started), 6);
  page.line("Finished", rfc3339(e.finished), 6);
}

std::string probe_text(const kube::Probe& p) {
  std::string what;
  auto port = [](const kube::PortRef& r) { return r.name.empty() ? std::to_string(r.number) : r.name; };
  if (const auto* exec = std::get_if<kube::ExecAction>(&p.handler)) what = "exec [" + joined(exec->command) + "]";
  if (const auto* http = std::get_if<kube::HttpAction>(&p.handler))
    what = "http-get http://" + http->host + ":" + port(http->port) + http->path;
  if (const auto* tcp = std::get_if<kube::TcpAction>(&p.handler))
    what = "tcp-socket " + tcp->host + ":" + port(tcp->port);
  return what + " delay=" + age_text(p.initial_delay) + " timeout=" + age_text(p.timeout) +
         " period=" + age_text(p.period) + " #success=" + std::to_string(p.success_threshold) +
         " #failure=" + std::to_string(p.failure_threshold);
}

void container(Page& page, const kube::Container& c, const ContainerStatus& s) {
  page.raw("  " + c.name + ":");
  page.line("Container ID", s.id.empty() ? "<none>" : s.id, 4);
  page.line("Image", c.image, 4);
  std::string ports;
  for (const auto& p : c.ports)
    ports += (ports.empty() ? "" : ", ") + std::to_string(p.container_port) + "/" +
             std::string(kube::protocol_name(p.protocol)) + (p.name.empty() ? "" : " (" + p.name + ")");
  page.line("Ports", ports.empty() ? "<none>" : ports, 4);
  switch (s.state) {
    case ContainerStatus::State::running:
      page.line("State", "Running", 4);
      page.line("Started", rfc3339(s.started), 6);
      break;
    case ContainerStatus::State::waiting:
      page.line("State", "Waiting", 4);
      page.line("Reason", s.reason, 6);
      if (!s.message.empty()) page.line("Message", s.message, 6);
      break;
    case ContainerStatus::State::terminated:
      ended(page, "State", s.ended);
      break;
  }
  if (s.last) ended(page, "Last State", *s.last);
  page.line("Ready", s.ready ? "True" : "False", 4);
  page.line("Restart Count", std::to_string(s.restarts), 4);
  if (c.startup) page.line("Startup", probe_text(*c.startup), 4);
  if (c.liveness) page.line("Liveness", probe_text(*c.liveness), 4);
  if (c.readiness) page.line("Readiness", probe_text(*c.readiness), 4);
  if (!s.probe_message.empty()) page.line("Last failure", s.probe_message, 4);
}

std::string describe_pod(const Node& node, const PodEntry& e) {
  Page page;
  const auto& meta = e.record.pod.meta;
  const auto& s = e.status;
  page.line("Name", meta.name);
  page.line("Namespace", meta.name_space);
  page.line("UID", e.record.uid);
  page.line("Node", node.options().facts.node_name);
  page.line("Start Time", rfc3339(e.record.created));
  page.map("Labels", meta.labels);
  page.map("Annotations", meta.annotations);
  page.line("Status",
            e.record.deleted ? "Terminating (" + e.record.delete_reason + ")" : std::string(phase_text(s.phase)));
  if (!s.reason.empty()) page.line("Reason", s.reason);
  if (!s.message.empty()) page.line("Message", s.message);
  page.line("IP", joined(s.ips));
  if (!e.record.owner.empty()) page.line("Controlled By", e.record.owner);
  page.line("QoS Class", std::string(qos_text(pod_qos(e.record.pod.spec))));
  if (!s.init.empty()) page.raw("Init Containers:");
  for (std::size_t i = 0; i < s.init.size(); i++) container(page, e.record.pod.spec.init_containers[i], s.init[i]);
  page.raw("Containers:");
  for (std::size_t i = 0; i < s.containers.size(); i++)
    container(page, e.record.pod.spec.containers[i], s.containers[i]);
  page.raw("Conditions:");
  page.line("PodScheduled", "True", 2);
  page.line("Initialized", s.initialized ? "True" : "False", 2);
  page.line("ContainersReady", s.ready ? "True" : "False", 2);
  page.line("Ready", s.ready ? "True" : "False", 2);
  page.events(node, e.key());
  return page.take();
}

std::string describe_workload(const Node& node, const ManifestObject& object) {
  Page page;
  const auto& w = std::get<kube::Workload>(object.value);
  auto owned = node.owned(object.key.text());
  auto s = workload_status(w, owned, node.now());
  page.line("Name", w.meta.name);
  page.line("Namespace", w.meta.name_space);
  page.map("Labels", w.meta.labels);
  page.line("Selector", kube::labels_text(w.selector.labels));
  page.line("Replicas", std::to_string(w.replicas) + " desired | " + std::to_string(s.updated) + " updated | " +
                            std::to_string(s.replicas) + " total | " + std::to_string(s.available) + " available | " +
                            std::to_string(std::max(0, w.replicas - s.available)) + " unavailable");
  page.line("Strategy", w.recreate ? "Recreate" : "RollingUpdate");
  page.line("Rollout", w.paused ? "paused" : s.complete ? "complete" : "in progress");
  page.line("Template hash", w.template_hash);
  page.raw("Pods:");
  for (const auto& p : owned) {
    const auto& e = node.pods().at(p.uid);
    page.raw("  " + e.record.pod.meta.name + "  " + e.status.word +
             (p.template_hash == w.template_hash ? "" : "  (former template)"));
  }
  page.events(node, object.key);
  return page.take();
}

}  // namespace

Result<std::string> describe_view(const Node& node, const ViewRequest& r) {
  std::string out;
  auto wanted = [&](const std::string& name_space, const std::string& name) {
    return (r.name.empty() || r.name == name) && (r.name_space.empty() || r.name_space == name_space);
  };
  auto add = [&](const std::string& text) { out += (out.empty() ? "" : "\n\n") + text; };
  if (r.kind == "Pod") {
    for (const auto& [uid, e] : node.pods())
      if (wanted(e.record.pod.meta.name_space, e.record.pod.meta.name)) add(describe_pod(node, e));
  } else {
    for (const auto& [key, object] : node.objects()) {
      if (key.kind != r.kind || !wanted(key.name_space, key.name)) continue;
      if (std::holds_alternative<kube::Service>(object.value)) {
        add(describe_service(node, object));
      } else if (std::holds_alternative<kube::Workload>(object.value)) {
        add(describe_workload(node, object));
      }
    }
  }
  if (!out.empty()) return out;
  if (r.kind != "Pod" && r.kind != "Service" && r.kind != "Deployment" && r.kind != "ReplicaSet")
    return fail(Error::of(ErrorKind::unimplemented, "describe", r.kind, "use get " + r.kind + " -o yaml"));
  return fail(Error::of(ErrorKind::not_found, "describe", r.kind + " " + r.name, "there is none"));
}

}  // namespace podshim::podlet
