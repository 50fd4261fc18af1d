#include "cni/portmap/verbs.h"

#include <algorithm>

#include "cni/portmap/apply.h"
#include "cni/rules/ruleset.h"

namespace podshim::cni::portmap {
namespace {

using netlink::Socket;

Result<Plan> plan_of(const Request& request) {
  auto conf = TRY(decode(request));
  auto prev = TRY(request.prev_result());
  if (!prev)
    return fail(Error::invalid("prevResult", "is missing: portmap comes after the plugin that makes the interface"));
  return plan_add(conf, request.attachment, *prev);
}

Result<> remove_if(const std::function<bool(const std::string& comment)>& wanted) {
  auto socket = TRY(Socket::open(netlink::Protocol::netfilter));
  auto held = TRY(list(socket));
  std::erase_if(held, [&](const Held& h) { return !wanted(h.comment); });
  return remove(socket, held);
}

}  // namespace

Result<json::Value> add(const Request& request) {
  auto plan = TRY(plan_of(request));
  if (!plan.ports.empty()) {
    auto socket = TRY(Socket::open(netlink::Protocol::netfilter));
    TRY(apply(plan, socket));
  }
  return *request.config.find("prevResult");
}

Result<> del(const Request& request) {
  auto comment = rules::owner_comment(request.network, request.attachment);
  return remove_if([&](const std::string& c) { return c == comment; });
}

Result<> check(const Request& request) {
  auto plan = TRY(plan_of(request));
  if (plan.ports.empty()) return {};
  auto socket = TRY(Socket::open(netlink::Protocol::netfilter));
  return verify(plan, socket);
}

Result<> status(const Request& request) {
  TRY(decode(request));
  auto socket = TRY(Socket::open(netlink::Protocol::netfilter));
  TRY_IN(nft::table_exists(socket, rules::kTable), "ask the kernel for nf_tables");
  return {};
}

Result<> gc(const Request& request) {
  auto valid = TRY(request.valid_attachments());
  std::vector<std::string> keep;
  for (const auto& a : valid) keep.push_back(rules::owner_comment(request.network, a));
  auto prefix = rules::owner_prefix(request.network);
  return remove_if([&](const std::string& c) {
    return c.starts_with(prefix) && std::find(keep.begin(), keep.end(), c) == keep.end();
  });
}

}  // namespace podshim::cni::portmap
