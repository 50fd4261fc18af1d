#include "common/netlink/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

namespace podshim::netlink {
namespace {

// Bits of CTA_FILTER_ORIG_FLAGS; the kernel keeps them in net/netfilter/nf_internals.h, not in uapi.
constexpr std::uint32_t kFilterProtocol = 1U << 3;
constexpr std::uint32_t kFilterDestinationPort = 1U << 5;

std::uint16_t message_type(std::uint16_t message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

nfgenmsg generic(Family family) {
  return {.nfgen_family = static_cast<std::uint8_t>(family == Family::v4 ? AF_INET : AF_INET6),
          .version = NFNETLINK_V0,
          .res_id = 0};
}

std::optional<Tuple> parse_tuple(const Attributes& a) {
  auto ip = a.nested(CTA_TUPLE_IP);
  auto proto = a.nested(CTA_TUPLE_PROTO);
  bool v4 = ip.has(CTA_IP_V4_SRC);
  auto source = ip.find(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
  auto destination = ip.find(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  std::size_t size = v4 ? 4 : 16;
  if (!source || !destination || source->size() < size || destination->size() < size) return std::nullopt;
  auto family = v4 ? Family::v4 : Family::v6;
  return Tuple{.source = IpAddress::from_bytes(family, *source),
               .destination = IpAddress::from_bytes(family, *destination),
               .protocol = proto.u8(CTA_PROTO_NUM).value_or(0),
               .source_port = proto.be16(CTA_PROTO_SRC_PORT).value_or(0),
               .destination_port = proto.be16(CTA_PROTO_DST_PORT).value_or(0)};
}

void put_tuple(Batch& b, const Tuple& t) {
  bool v4 = t.source.is_v4();
  b.nest(CTA_TUPLE_ORIG, [&] {
    b.nest(CTA_TUPLE_IP, [&] {
      b.put(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, t.source.bytes());
      b.put(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, t.destination.bytes());
    });
    b.nest(CTA_TUPLE_PROTO, [&] {
      b.put_u8(CTA_PROTO_NUM, t.protocol);
      b.put_be16(CTA_PROTO_SRC_PORT, t.source_port);
      b.put_be16(CTA_PROTO_DST_PORT, t.destination_port);
    });
  });
}

}  // namespace

std::optional<Flow> parse_flow(const Message& m) {
  auto a = m.attributes<nfgenmsg>();
  auto original = parse_tuple(a.nested(CTA_TUPLE_ORIG));
  auto reply = parse_tuple(a.nested(CTA_TUPLE_REPLY));
  if (!original || !reply) return std::nullopt;
  return Flow{
      .original = *original, .reply = *reply, .id = a.be32(CTA_ID).value_or(0), .zone = a.be16(CTA_ZONE).value_or(0)};
}

Result<std::vector<Flow>> list_flows(Socket& socket, Family family, std::uint8_t protocol, std::uint16_t port) {
  Batch b;
  b.begin("list flows", "port " + std::to_string(port), {}, message_type(IPCTNL_MSG_CT_GET), 0, generic(family));
  b.nest(CTA_TUPLE_ORIG, [&] {
    b.nest(CTA_TUPLE_PROTO, [&] {
      b.put_u8(CTA_PROTO_NUM, protocol);
      b.put_be16(CTA_PROTO_DST_PORT, port);
    });
  });
  b.nest(CTA_FILTER, [&] {
    b.put_u32(CTA_FILTER_ORIG_FLAGS, kFilterProtocol | kFilterDestinationPort);
    b.put_u32(CTA_FILTER_REPLY_FLAGS, 0);
  });
  std::vector<Flow> out;
  TRY(socket.dump(b, [&](const Message& m) {
    auto flow = parse_flow(m);
    if (flow && flow->original.protocol == protocol && flow->original.destination_port == port) out.push_back(*flow);
  }));
  return out;
}

Result<std::vector<Flow>> list_flows(Socket& socket, Family family, std::uint8_t protocol, bool dnat) {
  Batch b;
  b.begin("list flows", "protocol " + std::to_string(protocol), {}, message_type(IPCTNL_MSG_CT_GET), 0,
          generic(family));
  if (dnat) {
    b.put_be32(CTA_STATUS, IPS_DST_NAT);
    b.put_be32(CTA_STATUS_MASK, IPS_DST_NAT);
  }
  b.nest(CTA_TUPLE_ORIG, [&] { b.nest(CTA_TUPLE_PROTO, [&] { b.put_u8(CTA_PROTO_NUM, protocol); }); });
  b.nest(CTA_FILTER, [&] {
    b.put_u32(CTA_FILTER_ORIG_FLAGS, kFilterProtocol);
    b.put_u32(CTA_FILTER_REPLY_FLAGS, 0);
  });
  std::vector<Flow> out;
  TRY(socket.dump(b, [&](const Message& m) {
    auto flow = parse_flow(m);
    if (flow && flow->original.protocol == protocol) out.push_back(*flow);
  }));
  return out;
}

Result<> delete_flow(Socket& socket, const Flow& flow) {
  Batch b;
  b.begin("delete flow", flow.original.source.str(), flow.original.destination.str(),
          message_type(IPCTNL_MSG_CT_DELETE), 0, generic(flow.original.source.family()));
  put_tuple(b, flow.original);
  if (flow.zone != 0) b.put_be16(CTA_ZONE, flow.zone);
  // With the id, an entry that took the tuple over meanwhile is not the one that goes.
  if (flow.id != 0) b.put_be32(CTA_ID, flow.id);
  auto done = socket.execute(b);
  if (!done && done.error().is(ENOENT)) return {};
  return done;
}

}  // namespace podshim::netlink
