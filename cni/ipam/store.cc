#include "cni/ipam/store.h"

#include <algorithm>
#include <charconv>

namespace podshim::cni::ipam {
namespace {

// One record a line, words separated by single spaces:
//   podshim-leases 1
//   boot <id>
//   last <index of the range set> <address>
//   lease <container id> <interface> <address>...
//   freed <address>...
//   lost
constexpr std::string_view kHeader = "podshim-leases 1";
constexpr std::size_t kMaxSets = 1024;

std::string_view take_word(std::string_view& line) {
  auto end = std::min(line.find(' '), line.size());
  auto word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

Error broken(std::string_view line) {
  return Error::of(ErrorKind::internal, "parse leases", std::string(line.substr(0, 120)));
}

Result<std::vector<IpAddress>> take_addresses(std::string_view line, std::string_view rest) {
  std::vector<IpAddress> out;
  while (!rest.empty()) {
    auto ip = IpAddress::parse(take_word(rest));
    if (!ip) return fail(broken(line));
    out.push_back(*ip);
  }
  if (out.empty()) return fail(broken(line));
  return out;
}

Result<> read_line(std::string_view line, State& state) {
  std::string_view rest = line;
  auto kind = take_word(rest);
  if (kind == "boot") {
    state.boot_id = rest;
  } else if (kind == "last") {
    auto number = take_word(rest);
    std::size_t index = kMaxSets;
    auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (ec != std::errc{} || end != number.data() + number.size() || index >= kMaxSets) return fail(broken(line));
    state.last.resize(std::max(state.last.size(), index + 1));
    state.last[index] = TRY(take_addresses(line, rest)).front();
  } else if (kind == "lease") {
    Lease lease;
    lease.owner.container_id = take_word(rest);
    lease.owner.ifname = take_word(rest);
    lease.addresses = TRY(take_addresses(line, rest));
    state.leases.push_back(std::move(lease));
  } else if (kind == "freed") {
    auto addresses = TRY(take_addresses(line, rest));
    state.freed.insert(state.freed.end(), addresses.begin(), addresses.end());
  } else if (line == "lost") {
    state.lost = true;
  } else {
    return fail(broken(line));
  }
  return {};
}

void append(std::string& out, const std::vector<IpAddress>& addresses) {
  for (const auto& ip : addresses) out.append(" ").append(ip.str());
  out += '\n';
}

}  // namespace

std::string encode(const State& state) {
  std::string out(kHeader);
  out.append("\nboot ").append(state.boot_id).append("\n");
  for (std::size_t i = 0; i < state.last.size(); i++)
    out.append("last ").append(std::to_string(i)).append(" ").append(state.last[i].str()).append("\n");
  for (const auto& lease : state.leases) {
    out.append("lease ").append(lease.owner.container_id).append(" ").append(lease.owner.ifname);
    append(out, lease.addresses);
  }
  if (!state.freed.empty()) {
    out += "freed";
    append(out, state.freed);
  }
  if (state.lost) out += "lost\n";
  return out;
}

Result<State> decode_state(std::string_view text) {
  State out;
  bool first = true;
  while (!text.empty()) {
    auto end = text.find('\n');
    // Every line is closed: a file cut in the middle of one is seen.
    if (end == std::string_view::npos) return fail(broken(text));
    auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (first && line != kHeader) return fail(broken(line));
    if (!first) TRY(read_line(line, out));
    first = false;
  }
  if (first) return fail(broken("an empty file"));
  return out;
}

State salvage(std::string_view text) {
  State out;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    // A line that does not parse changes nothing but its own words.
    [[maybe_unused]] auto read = read_line(text.substr(0, end), out);
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace podshim::cni::ipam
