#include <algorithm>

#include "podlet/endpoints.h"

namespace podshim::podlet {
namespace {

constexpr std::size_t kShown = 3;  // Pods named in an explanation

std::string pair_text(const std::pair<const std::string, std::string>& pair) { return pair.first + "=" + pair.second; }

int overlap(const kube::Labels& labels, const kube::Labels& wanted) {
  return static_cast<int>(std::ranges::count_if(wanted, [&](const auto& pair) {
    auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  }));
}

// Levenshtein's distance: how many letters to change, add or drop.
int distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); j++) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); i++) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); j++) {
      int change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// A key that is there with another value is nearer than one that is absent: it is most often a typing error, the more
// so the less the values differ.
int nearness(const kube::Labels& labels, const kube::Labels& wanted) {
  int out = overlap(labels, wanted) * 100;
  for (const auto& [key, value] : wanted) {
    auto found = labels.find(key);
    if (found != labels.end() && found->second != value) out += 10 + 9 - std::min(9, distance(found->second, value));
    for (const auto& [other, v] : labels)
      if (other != key && v == value) out += 1;
  }
  return out;
}

// Of the selector's pairs, what this Pod has instead.
std::string difference(const kube::Labels& labels, const kube::Labels& wanted) {
  std::string out;
  for (const auto& [key, value] : wanted) {
    auto found = labels.find(key);
    if (found != labels.end() && found->second == value) continue;
    std::string has = found == labels.end() ? "no label " + key : key + "=" + found->second;
    out += (out.empty() ? "" : ", ") + has + " instead of " + key + "=" + value;
  }
  return out;
}

std::vector<std::string> no_pod_matches(const kube::Service& s, const std::vector<const Backend*>& pods) {
  std::vector<std::string> out;
  if (pods.empty()) return {"no Pod is in namespace " + s.meta.name_space};
  for (const auto& pair : s.selector) {
    bool carried = std::ranges::any_of(pods, [&](const auto* p) {
      auto found = p->labels->find(pair.first);
      return found != p->labels->end() && found->second == pair.second;
    });
    if (!carried) out.push_back("no Pod carries the label " + pair_text(pair) + " of the selector");
  }
  if (out.empty())
    out.push_back("no Pod carries all labels of the selector " + kube::labels_text(s.selector) + " at once");
  auto nearest = pods;
  std::ranges::sort(nearest, [&](const auto* a, const auto* b) {
    int na = nearness(*a->labels, s.selector), nb = nearness(*b->labels, s.selector);
    return na != nb ? na > nb : a->name < b->name;
  });
  for (std::size_t i = 0; i < std::min(kShown, nearest.size()); i++) {
    const auto& p = *nearest[i];
    out.push_back((i == 0 ? "nearest: Pod " : "         Pod ") + p.name + " (" + kube::labels_text(*p.labels) +
                  ") has " + difference(*p.labels, s.selector));
  }
  return out;
}

std::string port_names(const kube::PodSpec& spec) {
  std::string out;
  for (const auto& c : spec.containers)
    for (const auto& p : c.ports)
      if (!p.name.empty()) out += (out.empty() ? "" : ", ") + p.name;
  return out.empty() ? "no named port" : "the ports " + out;
}

// Names of target ports that this Pod lacks.
std::vector<std::string> missing_ports(const kube::Service& s, const Backend& p) {
  std::vector<std::string> out;
  for (const auto& port : s.ports)
    if (resolve_port(port.target_port, port.protocol, *p.spec) == 0) out.push_back(port.target_port.name);
  return out;
}

}  // namespace

std::vector<std::string> explain_none(const kube::Service& s, const std::vector<Backend>& pods,
                                      const std::vector<kube::EndpointSlice>& slices) {
  for (const auto& slice : slices)
    for (const auto& e : slice.endpoints)
      if (e.ready) return {};
  if (s.type == kube::ServiceType::external_name) return {"a Service of type ExternalName has none"};
  if (s.selector.empty())
    return {"the Service has no selector, and no Endpoints or EndpointSlice of its name is given"};
  std::vector<const Backend*> here, matching;
  for (const auto& p : pods) {
    if (p.name_space != s.meta.name_space) continue;
    here.push_back(&p);
    if (kube::has_labels(*p.labels, s.selector)) matching.push_back(&p);
  }
  if (matching.empty()) return no_pod_matches(s, here);
  auto all = std::to_string(matching.size()) + (matching.size() == 1 ? " Pod matches" : " Pods match");
  bool no_port =
      std::ranges::all_of(matching, [&](const auto* p) { return missing_ports(s, *p).size() == s.ports.size(); });
  std::vector<std::string> out;
  if (no_port && !s.ports.empty()) {
    const auto& first = *matching.front();
    for (const auto& name : missing_ports(s, first))
      out.push_back(all + ", but no container has a port named " + name + " (Pod " + first.name + " has " +
                    port_names(*first.spec) + ")");
    return out;
  }
  out.push_back(all + ", but none is ready:");
  for (std::size_t i = 0; i < matching.size() && i < kMaxEndpoints; i++) {
    const auto& p = *matching[i];
    std::string why = p.deleting      ? "is being deleted"
                      : p.ended       ? "has finished"
                      : p.ips.empty() ? "has no address yet"
                                      : "is not ready";
    if (!p.deleting && !p.ended && !p.why_not_ready.empty()) why = p.why_not_ready;
    out.push_back("  Pod " + p.name + ": " + why);
    if (i == 9 && matching.size() > 10) {
      out.push_back("  and " + std::to_string(matching.size() - 10) + " more");
      break;
    }
  }
  return out;
}

}  // namespace podshim::podlet
