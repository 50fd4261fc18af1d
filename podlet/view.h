// What people and scripts see: kubectl's tables, objects with status as JSON or YAML, describe. Reads the Node, changes
// nothing; on the loop's thread.
#pragma once

#include <string>
#include <vector>

#include "podlet/node.h"

namespace podshim::podlet {

struct ViewRequest {
  std::string kind;        // "Pod", "Service", ...; from kind_of_word()
  std::string name;        // "" = all
  std::string name_space;  // "" = all of them
  std::string output;      // "", wide, json, yaml, name
  kube::Selector selector;
};

// Columns are as wide as their longest cell, three blanks between, as kubectl prints them.
std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

Result<std::string> get_view(const Node& node, const ViewRequest& request);
Result<std::string> describe_view(const Node& node, const ViewRequest& request);
std::string events_view(const Node& node, const std::string& name_space, const std::string& output);

// One object as the API server would show it, with status.
json::Value pod_object(const Node& node, const PodEntry& entry);
json::Value workload_object(const Node& node, const ManifestObject& object);
// With the addresses it was given; as declared where it was refused.
const kube::Service& as_served(const Node& node, const kube::Service& declared);
// Not served at all; a refused change of a Service leaves it served as it was.
bool is_refused(const Node& node, const kube::Service& declared);
// "None", the first address, "<refused>", "<none>".
std::string cluster_ip_text(const Node& node, const kube::Service& declared);
const char* service_type_text(const kube::Service& service);
std::string joined_addresses(const std::vector<IpAddress>& list);  // "192.0.2.1,192.0.2.2"
json::Value service_object(const Node& node, const ManifestObject& object);
json::Value endpoints_object(const Node& node, const std::string& name_space, const std::string& name);
std::vector<kube::EndpointSlice> slices_of(const Node& node, const std::string& name_space, const std::string& service);

// "app=web,tier!=back,!legacy,env": kubectl's -l.
Result<kube::Selector> parse_selector(std::string_view text);

}  // namespace podshim::podlet
