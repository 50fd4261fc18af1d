#include "shim/plan/sandbox_files.h"

namespace podshim {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += " " + word;
  return out;
}

std::string render_hosts(const std::string& hostname, const std::vector<IpAddress>& ips) {
  std::string out =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::\tip6-localnet\n"
      "ff00::\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const auto& ip : ips)
    if (!hostname.empty()) out += ip.str() + "\t" + hostname + "\n";
  return out;
}

Result<> check_words(const char* field, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); i++) {
    bool ok = !words[i].empty();
    for (char c : words[i]) ok = ok && static_cast<unsigned char>(c) > ' ' && c != 0x7f;
    if (!ok)
      return fail(Error::invalid(std::string("config.dns_config.") + field + "[" + std::to_string(i) + "]",
                                 "\"" + words[i] + "\" is empty or holds a space or control character"));
  }
  return {};
}

}  // namespace

SandboxFiles plan_sandbox_files(const std::string& hostname, const std::vector<IpAddress>& ips,
                                const std::optional<DnsConfig>& dns, bool host_network, const std::string& host_hosts,
                                const std::string& host_resolv_conf) {
  bool own_dns = dns && *dns != DnsConfig{};
  return {.hosts = host_network ? host_hosts : render_hosts(hostname, ips),
          .hostname = hostname + "\n",
          .resolv_conf = own_dns ? render_resolv_conf(*dns) : host_resolv_conf};
}

std::string render_resolv_conf(const DnsConfig& dns) {
  std::string out;
  if (!dns.searches.empty()) out += "search" + join(dns.searches) + "\n";
  for (const auto& server : dns.servers) out += "nameserver " + server + "\n";
  if (!dns.options.empty()) out += "options" + join(dns.options) + "\n";
  return out;
}

Result<> check_dns(const DnsConfig& dns) {
  TRY(check_words("servers", dns.servers));
  TRY(check_words("searches", dns.searches));
  return check_words("options", dns.options);
}

}  // namespace podshim
