#include "cni/rules/ruleset.h"

#include <algorithm>
#include <array>

#include "cni/skel/hash.h"

namespace podshim::cni::rules {
namespace {

using nft::Expressions;
using nft::Type;

constexpr std::array<Family, 2> kFamilies = {Family::v4, Family::v6};
constexpr int kCommitTries = 5;
constexpr std::int32_t kRaw = -300;  // before connection tracking
constexpr std::int32_t kDstNat = -100;
constexpr std::int32_t kSrcNat = 100;
constexpr std::uint32_t kLocal = 2;       // RTN_LOCAL, rtnetlink(7); a register holds it in the host's byte order
constexpr std::uint32_t kPortOffset = 2;  // of the destination port in TCP and UDP

std::string with_family(const char* name, Family f) { return std::string(name) + (f == Family::v4 ? "4" : "6"); }
Type address_type(Family f) { return f == Family::v4 ? Type::ipv4_addr : Type::ipv6_addr; }
netlink::Bytes one(const std::uint8_t& byte) { return {&byte, 1}; }

void add_sets(nft::Transaction& t) {
  std::uint32_t id = 1;
  for (auto f : kFamilies) {
    auto ip = address_type(f);
    t.add_set({.name = pod_nets(f), .id = id++, .key = {ip}, .interval = true});
    t.add_set({.name = host_ports(f),
               .id = id++,
               .key = {Type::inet_proto, Type::inet_service},
               .data = {ip, Type::inet_service}});
    t.add_set({.name = host_ip_ports(f),
               .id = id++,
               .key = {ip, Type::inet_proto, Type::inet_service},
               .data = {ip, Type::inet_service}});
    t.add_set({.name = hairpins(f), .id = id++, .key = {ip, ip}});
  }
}

void add_chains(nft::Transaction& t) {
  t.add_chain({.name = "guard", .type = "filter", .hook = nft::Hook::prerouting, .priority = kRaw});
  t.add_chain("ports");
  t.add_chain({.name = "prerouting", .type = "nat", .hook = nft::Hook::prerouting, .priority = kDstNat});
  t.add_chain({.name = "output", .type = "nat", .hook = nft::Hook::output, .priority = kDstNat});
  t.add_chain({.name = "postrouting", .type = "nat", .hook = nft::Hook::postrouting, .priority = kSrcNat});
}

// route_localnet makes the kernel route 127.0.0.0/8 in and out of the bridge; nothing on a wire may use that.
void add_guard(nft::Transaction& t) {
  const std::uint8_t loopback = 127;
  const std::array<std::uint8_t, 16> lo = {'l', 'o'};
  for (std::uint32_t offset : {16U, 12U}) {  // destination, source
    Expressions rule;
    rule.meta(Expressions::Meta::iifname).not_equal(lo).family(true);
    rule.payload(Expressions::Base::network, offset, 1).equal(one(loopback)).verdict(Expressions::Verdict::drop);
    t.add_rule("guard", rule);
  }
}

// One look-up for all ports of one address, one for those of every address; a miss goes on to the next rule.
void add_ports(nft::Transaction& t) {
  for (const char* chain : {"prerouting", "output"})
    t.add_rule(chain, Expressions()
                          .fib_destination_type()
                          .equal({reinterpret_cast<const std::uint8_t*>(&kLocal), sizeof kLocal})
                          .jump("ports"));
  for (auto f : kFamilies) {
    bool v4 = f == Family::v4;
    int words = v4 ? 1 : 4;  // an address takes so many registers
    Expressions exact;
    exact.family(v4).destination(v4).meta(Expressions::Meta::l4proto, words);
    exact.payload(Expressions::Base::transport, kPortOffset, 2, words + 1).map(host_ip_ports(f)).dnat(v4, words);
    t.add_rule("ports", exact);
    Expressions any;
    any.meta(Expressions::Meta::l4proto).payload(Expressions::Base::transport, kPortOffset, 2, 1);
    any.map(host_ports(f)).dnat(v4, words);
    t.add_rule("ports", any);
  }
}

void add_masquerade(nft::Transaction& t) {
  const std::uint8_t loopback = 127;
  const std::array<std::uint8_t, 4> multicast4_mask = {0xf0, 0, 0, 0};
  const std::array<std::uint8_t, 4> multicast4 = {0xe0, 0, 0, 0};
  const std::uint8_t multicast6 = 0xff;
  Expressions local;
  local.status_dnat().family(true).payload(Expressions::Base::network, 12, 1).equal(one(loopback)).masquerade();
  t.add_rule("postrouting", local);
  for (auto f : kFamilies) {
    bool v4 = f == Family::v4;
    Expressions hairpin;
    hairpin.status_dnat().family(v4).source(v4).destination(v4, v4 ? 1 : 4).in_set(hairpins(f)).masquerade();
    t.add_rule("postrouting", hairpin);
  }
  for (auto f : kFamilies) {
    bool v4 = f == Family::v4;
    Expressions leave;
    leave.family(v4).source(v4).in_set(pod_nets(f)).destination(v4).in_set(pod_nets(f), true);
    if (v4) {
      leave.destination(true).mask(multicast4_mask).not_equal(multicast4);
    } else {
      leave.payload(Expressions::Base::network, 24, 1).not_equal(one(multicast6));
    }
    t.add_rule("postrouting", leave.masquerade());
  }
}

std::string shorten(const std::string& part, std::size_t limit) {
  if (part.size() <= limit) return part;
  return part.substr(0, limit - 17) + "~" + hex(stable_hash(part), 16);
}

}  // namespace

std::string pod_nets(Family f) { return with_family("pod_nets", f); }
std::string host_ports(Family f) { return with_family("host_ports", f); }
std::string host_ip_ports(Family f) { return with_family("host_ip_ports", f); }
std::string hairpins(Family f) { return with_family("hairpins", f); }

std::string owner_prefix(const std::string& network) { return shorten(network, 40) + "/"; }

std::string owner_comment(const std::string& network, const Attachment& a) {
  return owner_prefix(network) + shorten(a.container_id, 64) + "/" + a.ifname;
}

std::vector<nft::Element> subnet_elements(const Cidr& subnet, const std::string& comment) {
  auto key = [](const IpAddress& ip) { return nft::Fields().bytes(ip.bytes()); };
  std::vector<nft::Element> out = {nft::element(key(subnet.network()), {}, comment)};
  auto end = subnet.last().plus(1);
  // A subnet at the end of the address space has no end element.
  if (end.is_unspecified()) return out;
  out.push_back(nft::element(key(end)));
  out.back().interval_end = true;
  return out;
}

void add_ruleset(nft::Transaction& t) {
  t.add_table("podshim CNI plugins: masquerade and host ports", true);
  add_sets(t);
  add_chains(t);
  add_guard(t);
  add_ports(t);
  add_masquerade(t);
}

Result<> commit(netlink::Socket& socket, const std::function<void(nft::Transaction&)>& fill) {
  // Others make and remove the table meanwhile: between a refusal and the look at the table it may have come or gone.
  bool with_table = false;
  Result<> done;
  for (int i = 0; i < kCommitTries; i++) {
    nft::Transaction t(kTable);
    if (with_table) add_ruleset(t);
    fill(t);
    done = t.commit(socket);
    bool table_missing = !done && !with_table && done.error().is(ENOENT);
    bool table_there = !done && with_table && done.error().is(EEXIST);
    if (!table_missing && !table_there) return done;
    with_table = !TRY(nft::table_exists(socket, kTable));
  }
  return done;
}

Result<std::vector<Cidr>> missing_subnets(netlink::Socket& socket, const std::vector<Cidr>& subnets) {
  std::vector<Cidr> out;
  for (auto f : kFamilies) {
    std::vector<Cidr> wanted;
    for (const auto& s : subnets)
      if (s.address.family() == f) wanted.push_back(s);
    if (wanted.empty()) continue;
    auto present = nft::list_elements(socket, kTable, pod_nets(f));
    if (!present && !present.error().is(ENOENT)) return fail(std::move(present).error());
    for (const auto& s : wanted) {
      auto key = subnet_elements(s, {}).front().key;
      bool found = present && std::any_of(present->begin(), present->end(),
                                          [&](const nft::Element& e) { return e.key == key && !e.interval_end; });
      if (!found) out.push_back(s);
    }
  }
  return out;
}

Result<> ensure(netlink::Socket& socket, const std::string& network, const std::vector<Cidr>& subnets) {
  auto missing = TRY(missing_subnets(socket, subnets));
  if (missing.empty() && (!subnets.empty() || TRY(nft::table_exists(socket, kTable)))) return {};
  return commit(socket, [&](nft::Transaction& t) {
    for (const auto& s : missing)
      t.add_elements(pod_nets(s.address.family()), subnet_elements(s, "network " + network), false);
  });
}

}  // namespace podshim::cni::rules
