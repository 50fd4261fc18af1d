#include "podlet/dns.h"

#include <algorithm>

#include "common/sys/file.h"

namespace podshim::podlet {
namespace {

using kube::DnsPolicy;

// Kubernetes' limits (validation.MaxDNSNameservers and its kin).
constexpr std::size_t kMaxServers = 3, kMaxSearches = 32, kMaxSearchChars = 2048;
constexpr std::size_t kMaxFile = 1 << 20;

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  while (true) {
    auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return out;
    line.remove_prefix(begin);
    auto end = line.find_first_of(" \t\r");
    out.emplace_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  }
}

// Each text once, the first of its kind where it was.
void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const auto& text : from)
    if (std::ranges::find(to, text) == to.end()) to.push_back(text);
}

// "ndots:2" takes the place of "ndots:5".
void merge_options(std::vector<std::string>& to, const std::vector<std::string>& from) {
  auto name = [](const std::string& option) { return option.substr(0, option.find(':')); };
  for (const auto& option : from) {
    std::erase_if(to, [&](const auto& old) { return name(old) == name(option); });
    to.push_back(option);
  }
}

std::string fit(CriDns& dns) {
  std::string cut;
  if (dns.servers.size() > kMaxServers) {
    dns.servers.resize(kMaxServers);
    cut = "only the first 3 nameservers are used";
  }
  std::size_t length = 0, kept = 0;
  while (kept < dns.searches.size() && kept < kMaxSearches) {
    length += dns.searches[kept].size() + (kept == 0 ? 0 : 1);
    if (length > kMaxSearchChars) break;
    kept++;
  }
  if (kept < dns.searches.size()) {
    dns.searches.resize(kept);
    cut += (cut.empty() ? "only the first " : "; only the first ") + std::to_string(kept) + " search domains are used";
  }
  return cut;
}

}  // namespace

CriDns parse_resolv_conf(std::string_view text) {
  CriDns out;
  while (!text.empty()) {
    auto end = text.find('\n');
    auto words = words_of(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") out.servers.push_back(words[1]);
    if (words[0] == "options") out.options.assign(words.begin() + 1, words.end());
    if (words[0] != "search") continue;
    out.searches.assign(words.begin() + 1, words.end());
    for (auto& domain : out.searches)
      if (domain.size() > 1 && domain.ends_with('.')) domain.pop_back();
  }
  return out;
}

CriDns read_host_dns(const std::string& path) {
  auto text = sys::read_file(path, kMaxFile);
  return text ? parse_resolv_conf(*text) : CriDns{};
}

PodResolver pod_resolver(const kube::PodSpec& spec, const std::string& name_space, const NodeFacts& node) {
  PodResolver out;
  CriDns dns;
  bool cluster = (spec.dns_policy == DnsPolicy::cluster_first && !spec.host_network) ||
                 spec.dns_policy == DnsPolicy::cluster_first_with_host_net;
  if (cluster && !node.cluster_dns.empty()) {
    dns.servers = {node.cluster_dns};
    dns.searches = {name_space + ".svc." + node.cluster_domain, "svc." + node.cluster_domain, node.cluster_domain};
    append(dns.searches, node.host_dns.searches);
    dns.options = {"ndots:5"};
  } else if (spec.dns_policy != DnsPolicy::none) {
    if (spec.dns == kube::PodDns{}) return out;
    dns = node.host_dns;
  }
  append(dns.servers, spec.dns.servers);
  append(dns.searches, spec.dns.searches);
  merge_options(dns.options, spec.dns.options);
  out.cut = fit(dns);
  out.dns = std::move(dns);
  return out;
}

}  // namespace podshim::podlet
