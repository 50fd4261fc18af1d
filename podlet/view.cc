#include "podlet/view.h"

#include <algorithm>

#include "common/yaml.h"

namespace podshim::podlet {
namespace {

using Row = std::vector<std::string>;

// One line of `get`: the object, its labels (for -l), its cells.
struct Item {
  std::string name_space, name;
  kube::Labels labels;
  Row cells, wide;
  std::function<json::Value()> object;
};
struct Listing {
  Row header, wide;
  std::vector<Item> items;
};

std::string or_none(const std::string& text) { return text.empty() ? "<none>" : text; }
std::string since(const Node& node, Time t) { return age_text(node.now() - t); }

// Declared objects have no birth date of their own here: their first Pod or nothing.
Listing pods(const Node& node) {
  Listing out{.header = {"NAME", "READY", "STATUS", "RESTARTS", "AGE"}, .wide = {"IP", "NODE"}};
  for (const auto& [uid, e] : node.pods()) {
    const auto& s = e.status;
    const auto& meta = e.record.pod.meta;
    Item item{.name_space = meta.name_space, .name = meta.name, .labels = meta.labels};
    item.cells = {meta.name, std::to_string(s.ready_count) + "/" + std::to_string(s.total), s.word,
                  std::to_string(s.restarts), since(node, e.record.created)};
    item.wide = {or_none(s.ips.empty() ? "" : s.ips.front()), node.options().facts.node_name};
    item.object = [&node, &e] { return pod_object(node, e); };
    out.items.push_back(std::move(item));
  }
  return out;
}

Listing workloads(const Node& node, const std::string& kind) {
  Listing out{.header = {"NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"},
              .wide = {"CONTAINERS", "IMAGES", "SELECTOR"}};
  for (const auto& [key, object] : node.objects()) {
    const auto* w = std::get_if<kube::Workload>(&object.value);
    if (w == nullptr || key.kind != kind) continue;
    auto owned = node.owned(key.text());
    auto s = workload_status(*w, owned, node.now());
    auto oldest = std::ranges::min_element(owned, {}, &OwnedPod::created);
    Item item{.name_space = key.name_space, .name = key.name, .labels = w->meta.labels};
    item.cells = {key.name, std::to_string(s.ready) + "/" + std::to_string(w->replicas), std::to_string(s.updated),
                  std::to_string(s.available), oldest == owned.end() ? "<none>" : since(node, oldest->created)};
    std::string names, images;
    for (const auto& c : w->template_spec.containers) {
      names += (names.empty() ? "" : ",") + c.name;
      images += (images.empty() ? "" : ",") + c.image;
    }
    item.wide = {names, images, kube::labels_text(w->selector.labels)};
    item.object = [&node, &object] { return workload_object(node, object); };
    out.items.push_back(std::move(item));
  }
  return out;
}

std::string ports_text(const kube::Service& s) {
  std::string out;
  for (const auto& p : s.ports) {
    out += (out.empty() ? "" : ",") + std::to_string(p.port);
    if (p.node_port != 0) out += ":" + std::to_string(p.node_port);
    out += "/" + std::string(kube::protocol_name(p.protocol));
  }
  return or_none(out);
}

// What kubectl shows: a load balancer's addresses and the external ones, or that they are still to come.
std::string external_text(const kube::Service& s) {
  if (s.type == kube::ServiceType::external_name) return s.external_name;
  auto out = joined_addresses(s.load_balancer_ips), more = joined_addresses(s.external_ips);
  if (!more.empty()) out += (out.empty() ? "" : ",") + more;
  if (out.empty() && s.type == kube::ServiceType::load_balancer) return "<pending>";
  return or_none(out);
}

Listing services(const Node& node) {
  Listing out{.header = {"NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)"}, .wide = {"SELECTOR"}};
  for (const auto& [key, object] : node.objects()) {
    const auto* declared = std::get_if<kube::Service>(&object.value);
    if (declared == nullptr) continue;
    const auto& s = as_served(node, *declared);
    Item item{.name_space = key.name_space, .name = key.name, .labels = s.meta.labels};
    auto external = is_refused(node, s) ? "<none>" : external_text(s);
    item.cells = {key.name, service_type_text(s), cluster_ip_text(node, s), external, ports_text(s)};
    item.wide = {kube::labels_text(s.selector)};
    item.object = [&node, &object] { return service_object(node, object); };
    out.items.push_back(std::move(item));
  }
  return out;
}

Listing endpoints(const Node& node) {
  Listing out{.header = {"NAME", "ENDPOINTS"}};
  std::set<std::pair<std::string, std::string>> names;
  for (const auto& s : node.allocation().services)
    if (s.type != kube::ServiceType::external_name) names.emplace(s.meta.name_space, s.meta.name);
  for (const auto& s : node.slices()) names.emplace(s.meta.name_space, s.service_name);
  for (const auto& key : names) {
    auto text = endpoints_text(slices_of(node, key.first, key.second), 3);
    Item item{.name_space = key.first, .name = key.second, .cells = {key.second, text}};
    item.object = [&node, key] { return endpoints_object(node, key.first, key.second); };
    out.items.push_back(std::move(item));
  }
  return out;
}

Listing endpoint_slices(const Node& node) {
  Listing out{.header = {"NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS"}};
  for (const auto& s : node.slices()) {
    std::string ports, addresses;
    for (const auto& p : s.ports) ports += (ports.empty() ? "" : ",") + std::to_string(p.port);
    for (std::size_t i = 0; i < s.endpoints.size() && i < 3; i++)
      addresses += (i == 0 ? "" : ",") + s.endpoints[i].addresses.front().str();
    if (s.endpoints.size() > 3) addresses += " + " + std::to_string(s.endpoints.size() - 3) + " more...";
    Item item{.name_space = s.meta.name_space, .name = s.meta.name, .labels = s.meta.labels};
    item.labels["kubernetes.io/service-name"] = s.service_name;
    item.cells = {s.meta.name, s.family == Family::v4 ? "IPv4" : "IPv6", or_none(ports), or_none(addresses)};
    item.object = [&s] { return kube::encode_endpoint_slice(s); };
    out.items.push_back(std::move(item));
  }
  return out;
}

Listing config_maps(const Node& node, const std::string& kind) {
  Listing out{.header = {"NAME", "DATA"}};
  for (const auto& [key, object] : node.objects()) {
    const auto* map = std::get_if<kube::ConfigMap>(&object.value);
    if (map == nullptr || key.kind != kind) continue;
    Item item{.name_space = key.name_space,
              .name = key.name,
              .labels = map->meta.labels,
              .cells = {key.name, std::to_string(map->data.size())}};
    item.object = [&object] { return object.source; };
    out.items.push_back(std::move(item));
  }
  return out;
}

Listing listing_of(const Node& node, const std::string& kind) {
  if (kind == "Pod") return pods(node);
  if (kind == "Deployment" || kind == "ReplicaSet") return workloads(node, kind);
  if (kind == "Service") return services(node);
  if (kind == "Endpoints") return endpoints(node);
  if (kind == "EndpointSlice") return endpoint_slices(node);
  return config_maps(node, kind);
}

std::string as_text(const json::Value& v, const std::string& output) {
  return output == "json" ? json::dump(v, 4) + "\n" : yaml::dump(v);
}

std::string as_table(Listing& list, bool wide, bool all_namespaces) {
  Row header = list.header;
  if (wide) header.insert(header.end(), list.wide.begin(), list.wide.end());
  if (all_namespaces) header.insert(header.begin(), "NAMESPACE");
  std::vector<Row> rows;
  for (auto& item : list.items) {
    Row row = item.cells;
    if (wide) row.insert(row.end(), item.wide.begin(), item.wide.end());
    if (all_namespaces) row.insert(row.begin(), item.name_space);
    rows.push_back(std::move(row));
  }
  return table(header, rows);
}

}  // namespace

std::string table(const Row& header, const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(header.size());
  auto measure = [&](const Row& row) {
    for (std::size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  };
  measure(header);
  for (const auto& row : rows) measure(row);
  std::string out;
  auto print = [&](const Row& row) {
    for (std::size_t i = 0; i < row.size(); i++) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 3, ' ');
    }
    out += '\n';
  };
  print(header);
  for (const auto& row : rows) print(row);
  return out;
}

Result<std::string> get_view(const Node& node, const ViewRequest& r) {
  auto list = listing_of(node, r.kind);
  std::erase_if(list.items, [&](const Item& i) {
    return (!r.name.empty() && i.name != r.name) || (!r.name_space.empty() && i.name_space != r.name_space) ||
           !r.selector.matches(i.labels);
  });
  std::ranges::sort(list.items, {}, [](const Item& i) { return std::tie(i.name_space, i.name); });
  if (!r.name.empty() && list.items.empty())
    return fail(Error::of(ErrorKind::not_found, "get", r.kind + " " + r.name,
                          "there is none in namespace " + (r.name_space.empty() ? "*" : r.name_space)));
  if (r.output == "name") {
    std::string out;
    for (const auto& i : list.items) out += resource_name(r.kind, i.name) + "\n";
    return out;
  }
  if (r.output == "json" || r.output == "yaml") {
    if (!r.name.empty()) return as_text(list.items.front().object(), r.output);
    auto items = json::Value::array();
    for (const auto& i : list.items) items.push(i.object());
    json::Value all;
    all.set("apiVersion", "v1").set("kind", "List").set("items", std::move(items));
    return as_text(all, r.output);
  }
  if (list.items.empty())
    return "No resources found in " + (r.name_space.empty() ? "any namespace" : r.name_space + " namespace") + ".\n";
  return as_table(list, r.output == "wide", r.name_space.empty());
}

std::string events_view(const Node& node, const std::string& name_space, const std::string& output) {
  std::vector<Row> rows;
  auto items = json::Value::array();
  for (const auto& e : node.events().all()) {
    if (!name_space.empty() && e.object.name_space != name_space && !e.object.name_space.empty()) continue;
    std::string age = since(node, e.last) +
                      (e.count > 1 ? " (x" + std::to_string(e.count) + " over " + since(node, e.first) + ")" : "");
    rows.push_back({age, e.warning ? "Warning" : "Normal", e.reason, e.object.kind + "/" + e.object.name, e.message});
    json::Value one;
    one.set("firstTimestamp", rfc3339(e.first))
        .set("lastTimestamp", rfc3339(e.last))
        .set("lastNanos", to_nanos(e.last))
        .set("count", e.count);
    one.set("type", e.warning ? "Warning" : "Normal")
        .set("reason", e.reason)
        .set("object", e.object.text())
        .set("message", e.message);
    items.push(std::move(one));
  }
  if (output == "json" || output == "yaml")
    return as_text(json::Value::object().set("items", std::move(items)), output);
  return table({"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"}, rows);
}

}  // namespace podshim::podlet
