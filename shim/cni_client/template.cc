#include "shim/cni_client/template.h"

#include <algorithm>

#include "common/json.h"
#include "shim/cni_client/conflist.h"

namespace podshim::cni {
namespace {

constexpr const char* kField = "network_config.pod_cidr";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string ranges_of(const std::vector<Cidr>& cidrs) {
  auto ranges = json::Value::array();
  for (const auto& cidr : cidrs) {
    auto set = json::Value::array();
    set.push(json::Value::object().set("subnet", cidr.str()));
    ranges.push(std::move(set));
  }
  return json::dump(ranges);
}

std::string routes_of(const std::vector<Cidr>& cidrs) {
  auto routes = json::Value::array();
  for (const auto& cidr : cidrs)
    routes.push(json::Value::object().set("dst", cidr.address.is_v4() ? "0.0.0.0/0" : "::/0"));
  return json::dump(routes);
}

Result<std::string> value_of(std::string_view name, const std::vector<Cidr>& cidrs, const std::string& source) {
  if (name == ".PodCIDR") return cidrs.front().str();
  if (name == ".PodCIDRRanges") return ranges_of(cidrs);
  if (name == ".Routes") return routes_of(cidrs);
  return fail(Error::of(ErrorKind::failed_precondition, "render CNI template", source,
                        "\"{{" + std::string(name) + "}}\" is none of .PodCIDR, .PodCIDRRanges, .Routes"));
}

}  // namespace

Result<std::vector<Cidr>> parse_pod_cidrs(std::string_view text) {
  std::vector<Cidr> out;
  for (std::size_t from = 0; from <= text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    const std::string one(trimmed(text.substr(from, to - from)));
    from = to + 1;
    auto cidr = Cidr::parse(one);
    if (!cidr) return fail(Error::invalid(kField, "\"" + std::string(text) + "\": \"" + one + "\" is no CIDR"));
    for (const auto& other : out)
      if (other.address.is_v4() == cidr->address.is_v4())
        return fail(Error::invalid(kField, "\"" + std::string(text) + "\" has two of one family"));
    out.push_back(*cidr);
  }
  return out;
}

Result<std::string> render_template(std::string_view text, const std::vector<Cidr>& cidrs, const std::string& source) {
  std::string out;
  for (std::size_t at = 0;;) {
    const auto open = text.find("{{", at);
    out += text.substr(at, open == std::string_view::npos ? open : open - at);
    if (open == std::string_view::npos) break;
    const auto close = text.find("}}", open);
    if (close == std::string_view::npos)
      return fail(Error::of(ErrorKind::failed_precondition, "render CNI template", source, "a {{ without its }}"));
    out += TRY(value_of(trimmed(text.substr(open + 2, close - open - 2)), cidrs, source));
    at = close + 2;
  }
  auto list = parse_network(out, source);
  if (!list) {
    list.error().kind = ErrorKind::failed_precondition;
    return fail(std::move(list).error());
  }
  return out;
}

}  // namespace podshim::cni
