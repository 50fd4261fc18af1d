#include "netproxy/dns/upstream.h"

#include <algorithm>
#include <sstream>

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::netproxy::dns {
namespace {

constexpr std::size_t kMaxServers = 3;  // MAXNS of resolv.conf(5)
constexpr auto kLookAgain = std::chrono::seconds(5);
constexpr auto kIll = std::chrono::seconds(10);

}  // namespace

std::vector<DnsUpstream> parse_resolv_conf(const std::string& text) {
  std::vector<DnsUpstream> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line) && out.size() < kMaxServers;) {
    std::istringstream words(line);
    std::string keyword, value;
    if (!(words >> keyword >> value) || keyword != "nameserver") continue;
    if (auto ip = IpAddress::parse(value)) out.push_back({.address = *ip});
  }
  return out;
}

Upstreams::Upstreams(std::vector<DnsUpstream> fixed, std::string resolv_conf, std::vector<DnsUpstream> self)
    : resolv_conf_(fixed.empty() ? std::move(resolv_conf) : ""), self_(std::move(self)) {
  take(fixed);
}

void Upstreams::take(const std::vector<DnsUpstream>& list) {
  std::vector<Entry> entries;
  for (const auto& upstream : list) {
    if (std::ranges::find(self_, upstream) != self_.end()) {
      log::warn("no upstream: this server itself", {{"address", upstream.address.str()}});
      continue;
    }
    auto old = std::ranges::find(entries_, upstream, &Entry::upstream);
    entries.push_back(old != entries_.end() ? *old : Entry{.upstream = upstream, .ill_until = std::nullopt});
  }
  entries_ = std::move(entries);
}

void Upstreams::refresh(Clock::time_point now) {
  if (resolv_conf_.empty() || (looked_ && now - *looked_ < kLookAgain)) return;
  bool first = !looked_;
  looked_ = now;
  struct stat s{};
  if (::stat(resolv_conf_.c_str(), &s) != 0) s.st_mtim = {};
  if (!first && s.st_mtim.tv_sec == changed_.tv_sec && s.st_mtim.tv_nsec == changed_.tv_nsec) return;
  changed_ = s.st_mtim;
  auto text = sys::read_file(resolv_conf_, 1 << 20);
  if (!text) log::warn("no upstreams", {{"error", text.error().text()}});
  take(parse_resolv_conf(text.value_or("")));
}

std::optional<DnsUpstream> Upstreams::choose(Clock::time_point now, const DnsUpstream* last) {
  refresh(now);
  const Entry* best = nullptr;
  auto rank = [&](const Entry& e) {  // lower is better
    bool ill = e.ill_until && now < *e.ill_until;
    return (last != nullptr && e.upstream == *last ? 2 : 0) + (ill ? 1 : 0);
  };
  for (const auto& e : entries_)
    if (best == nullptr || rank(e) < rank(*best)) best = &e;
  if (best == nullptr) return std::nullopt;
  return best->upstream;
}

void Upstreams::failed(const DnsUpstream& upstream, Clock::time_point now) {
  auto it = std::ranges::find(entries_, upstream, &Entry::upstream);
  if (it == entries_.end()) return;
  bool was_well = !it->ill_until || *it->ill_until <= now;
  it->ill_until = now + kIll;
  if (was_well) log::warn("upstream does not answer", {{"address", upstream.address.str()}, {"port", upstream.port}});
}

void Upstreams::answered(const DnsUpstream& upstream) {
  auto it = std::ranges::find(entries_, upstream, &Entry::upstream);
  if (it != entries_.end()) it->ill_until.reset();
}

}  // namespace podshim::netproxy::dns
