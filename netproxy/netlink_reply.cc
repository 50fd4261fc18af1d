#include "netproxy/netlink_reply.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netproxy/ruleset.h"

namespace podshim::netproxy {
namespace {

using netlink::Attributes;
using netlink::Message;

constexpr std::int32_t kMaxErrno = 4095;  // include/linux/err.h: what is beyond is no errno

// The kernel's own words, when it has some (netlink(7), NETLINK_EXT_ACK).
std::string explanation(const Message& m) {
  if ((m.flags & NLM_F_ACK_TLVS) == 0) return {};
  auto header = m.header<nlmsgerr>();
  if (!header) return {};
  std::size_t skip = sizeof(nlmsgerr);
  if ((m.flags & NLM_F_CAPPED) == 0 && header->msg.nlmsg_len > sizeof(nlmsghdr))
    skip += header->msg.nlmsg_len - sizeof(nlmsghdr);
  return m.payload.size() > skip ? Attributes(m.payload.subspan(skip)).string(NLMSGERR_ATTR_MSG) : std::string();
}

}  // namespace

std::vector<Refusal> parse_refusals(netlink::Bytes datagram, const netlink::Batch& batch) {
  std::vector<Refusal> out;
  const auto& requests = batch.requests();
  while (auto m = netlink::next_message(datagram)) {
    auto code = m->header<std::int32_t>();
    if (m->type != NLMSG_ERROR || !code || *code >= 0 || *code < -kMaxErrno || requests.empty()) continue;
    std::uint32_t index = m->seq - requests.front().seq;
    if (index >= requests.size()) continue;
    const auto& r = requests[index];
    Error error = Error::sys(r.op, r.subject, r.subject2, -*code);
    error.detail = explanation(*m);
    out.push_back({.request = index, .error = std::move(error)});
  }
  return out;
}

bool touches_our_table(netlink::Bytes datagram, std::uint32_t own_port) {
  while (auto m = netlink::next_message(datagram)) {
    if (m->type >> 8 != NFNL_SUBSYS_NFTABLES || m->port == own_port) continue;
    auto type = m->type & 0xff;
    if (type == NFT_MSG_NEWGEN) continue;
    auto family = m->header<nfgenmsg>();
    if (!family || family->nfgen_family != NFPROTO_INET) continue;
    // The table's name is attribute 1 of every object's notification.
    static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1 &&
                  NFTA_SET_ELEM_LIST_TABLE == 1);
    if (m->attributes<nfgenmsg>().string(1) == kTable) return true;
  }
  return false;
}

void parse_remembered(const Message& m, SetId map, std::vector<Remembered>& out) {
  if (m.type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM)) return;
  auto bytes = [](const Attributes& element, std::uint16_t type) {
    Bytes value;
    auto raw = element.nested(type).find(NFTA_DATA_VALUE);
    if (!raw || raw->size() > value.raw.size()) return value;
    std::memcpy(value.raw.data(), raw->data(), raw->size());
    value.size = static_cast<std::uint8_t>(raw->size());
    return value;
  };
  m.attributes<nfgenmsg>().nested(NFTA_SET_ELEM_LIST_ELEMENTS).each([&](const netlink::Attribute& a) {
    Attributes element(a.payload);
    auto left = element.find(NFTA_SET_ELEM_EXPIRATION);
    Remembered r{.map = map, .key = bytes(element, NFTA_SET_ELEM_KEY), .data = bytes(element, NFTA_SET_ELEM_DATA)};
    if (r.key.size == 0 || r.data.size == 0 || !left || left->size() != sizeof r.expires_ms) return;
    std::memcpy(&r.expires_ms, left->data(), sizeof r.expires_ms);
    r.expires_ms = be64toh(r.expires_ms);
    // The kernel takes no more than the map's own timeout, and 0 for "none left".
    if (r.expires_ms != 0 && r.expires_ms <= std::uint64_t{map.seconds} * 1000) out.push_back(r);
  });
}

std::optional<TableIdentity> parse_table(const Message& m) {
  auto a = m.attributes<nfgenmsg>();
  auto handle = a.find(NFTA_TABLE_HANDLE);
  auto use = a.be32(NFTA_TABLE_USE);
  if (!handle || handle->size() != sizeof(std::uint64_t) || !use) return std::nullopt;
  TableIdentity out{.use = *use};
  std::memcpy(&out.handle, handle->data(), sizeof out.handle);
  out.handle = be64toh(out.handle);
  return out;
}

}  // namespace podshim::netproxy
