#include "cni/ipam/netconf.h"

#include <algorithm>

namespace podshim::cni::ipam {
namespace {

using json::Reader;

Result<std::optional<IpAddress>> read_address(const Reader& r, const char* name) {
  auto text = TRY(r.opt_string(name));
  if (!text || text->empty()) return std::nullopt;
  auto ip = IpAddress::parse(*text);
  if (!ip) return fail(r.error(name, ip.error().detail));
  return *ip;
}

Result<Range> read_range(const Reader& r, const std::string& field) {
  auto text = TRY(r.string("subnet"));
  auto subnet = Cidr::parse(text);
  if (!subnet) return fail(r.error("subnet", subnet.error().detail));
  auto start = TRY(read_address(r, "rangeStart"));
  auto end = TRY(read_address(r, "rangeEnd"));
  auto gateway = TRY(read_address(r, "gateway"));
  return make_range(field, *subnet, start, end, gateway);
}

// [[{range}, ...], ...]
Result<> read_range_sets(const Reader& r, const char* name, std::vector<RangeSet>* out) {
  const auto* sets = r.get(name);
  if (sets == nullptr) return {};
  if (!sets->is_array()) return fail(r.error(name, "is not a list of lists of ranges"));
  for (const auto& set : sets->as_array()) {
    std::string path = r.field(name) + "[" + std::to_string(&set - sets->as_array().data()) + "]";
    if (!set.is_array() || set.as_array().empty()) return fail(Error::invalid(path, "is not a list of ranges"));
    RangeSet ranges;
    for (const auto& item : set.as_array()) {
      std::string field = path + "[" + std::to_string(ranges.size()) + "]";
      auto one = TRY(Reader::of(item, field));
      ranges.push_back(TRY(read_range(one, field)));
      if (ranges.back().subnet.address.family() != ranges.front().subnet.address.family())
        return fail(Error::invalid(field, "is of another family than the first range of its set"));
    }
    out->push_back(std::move(ranges));
  }
  return {};
}

Result<> check_overlaps(const std::vector<RangeSet>& sets) {
  std::vector<const Range*> all;
  for (const auto& set : sets) {
    for (const auto& range : set) {
      for (const auto* other : all)
        if (overlap(range, *other))
          return fail(Error::invalid("ipam.ranges", range.str() + " overlaps " + other->str()));
      all.push_back(&range);
    }
  }
  return {};
}

// "10.0.0.5" or "10.0.0.5/24"
Result<> request_address(const std::string& field, const std::string& text, std::vector<IpAddress>* out) {
  auto ip = IpAddress::parse(text.substr(0, text.find('/')));
  if (!ip) return fail(Error::invalid(field, ip.error().detail));
  if (std::find(out->begin(), out->end(), *ip) == out->end()) out->push_back(*ip);
  return {};
}

Result<> read_requested(const Request& request, const Reader& root, std::vector<IpAddress>* out) {
  if (auto it = request.args.find("ip"); it != request.args.end()) TRY(request_address("CNI_ARGS IP", it->second, out));
  auto list = [&](const Reader& r) -> Result<> {
    auto texts = TRY(r.strings("ips"));
    for (const auto& text : texts) TRY(request_address(r.field("ips"), text, out));
    return {};
  };
  if (auto args = TRY(root.opt_object("args")))
    if (auto cni = TRY(args->opt_object("cni"))) TRY(list(*cni));
  if (auto runtime = TRY(root.opt_object("runtimeConfig"))) TRY(list(*runtime));
  return {};
}

std::vector<std::string> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  std::vector<std::string> out;
  for (;;) {
    auto begin = line.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return out;
    line.remove_prefix(begin);
    auto word = line.substr(0, line.find_first_of(kBlank));
    out.emplace_back(word);
    line.remove_prefix(word.size());
  }
}

}  // namespace

Result<NetConf> decode(const Request& request) {
  auto root = TRY(Reader::of(request.config));
  auto r = TRY(root.object("ipam"));
  NetConf out{.network = request.network};
  out.data_dir = TRY(r.string_or("dataDir", kDefaultDataDir));
  if (out.data_dir.empty()) out.data_dir = kDefaultDataDir;
  if (!out.data_dir.starts_with('/'))
    return fail(r.error("dataDir", "\"" + out.data_dir + "\" is not an absolute path"));
  out.resolv_conf = TRY(r.string_or("resolvConf", ""));
  out.routes = TRY(parse_routes(r, "routes"));
  if (auto runtime = TRY(root.opt_object("runtimeConfig"))) TRY(read_range_sets(*runtime, "ipRanges", &out.ranges));
  if (r.has("subnet")) out.ranges.push_back({TRY(read_range(r, "ipam"))});
  TRY(read_range_sets(r, "ranges", &out.ranges));
  if (out.ranges.empty()) return fail(Error::invalid("ipam.ranges", "names no range"));
  TRY(check_overlaps(out.ranges));
  TRY(read_requested(request, root, &out.requested));
  return out;
}

std::string data_dir_of(const Request& request) {
  const auto* section = request.config.find("ipam");
  const auto* dir = section != nullptr ? section->find("dataDir") : nullptr;
  bool usable = dir != nullptr && dir->is_string() && dir->as_string().starts_with('/');
  return usable ? dir->as_string() : kDefaultDataDir;
}

Dns parse_resolv_conf(std::string_view text) {
  Dns out;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto words = words_of(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) continue;
    std::string key = words.front();
    words.erase(words.begin());
    if (key == "nameserver") out.nameservers.push_back(words.front());
    if (key == "domain") out.domain = words.front();
    if (key == "search") out.search.insert(out.search.end(), words.begin(), words.end());
    if (key == "options") out.options.insert(out.options.end(), words.begin(), words.end());
  }
  return out;
}

}  // namespace podshim::cni::ipam
