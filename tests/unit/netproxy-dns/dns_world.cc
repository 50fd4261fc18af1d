#include "tests/unit/netproxy-dns/dns_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns::test {
namespace {

struct Free {
  void operator()(ldns_pkt* p) const { ldns_pkt_free(p); }
  void operator()(char* p) const { std::free(p); }
};

std::string service(const std::string& name_space, const std::string& name, const std::string& spec) {
  return R"({"apiVersion":"v1","kind":"Service","metadata":{"namespace":")" + name_space + R"(","name":")" + name +
         R"("},"spec":)" + spec + "}";
}

std::string slice(const std::string& name_space, const std::string& service_name, const std::string& suffix,
                  const std::string& rest) {
  return R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":")" + name_space +
         R"(","name":")" + service_name + suffix + R"(","labels":{"kubernetes.io/service-name":")" + service_name +
         R"("}},)" + rest + "}";
}

const std::string kDbPorts = R"("ports":[{"name":"pg","protocol":"TCP","port":5432},{"name":"","port":9}])";

}  // namespace

std::vector<std::uint8_t> query_for(const std::string& name, const std::string& type, const Ask& ask) {
  std::unique_ptr<ldns_pkt, Free> packet(
      ldns_pkt_query_new(ldns_dname_new_frm_str(name.c_str()), ldns_get_rr_type_by_name(type.c_str()),
                         ldns_get_rr_class_by_name(ask.klass.c_str()), ask.recursion ? LDNS_RD : 0));
  ldns_pkt_set_id(packet.get(), 0x1234);
  if (ask.edns) ldns_pkt_set_edns_udp_size(packet.get(), static_cast<std::uint16_t>(ask.udp_size));
  if (ask.dnssec_ok) ldns_pkt_set_edns_do(packet.get(), true);
  std::uint8_t* wire = nullptr;
  std::size_t size = 0;
  EXPECT_EQ(ldns_pkt2wire(&wire, packet.get(), &size), LDNS_STATUS_OK);
  std::vector<std::uint8_t> out(wire, wire + size);
  std::free(wire);
  return out;
}

std::string text_of(Bytes message) {
  ldns_pkt* raw = nullptr;
  auto status = ldns_wire2pkt(&raw, message.data(), message.size());
  if (status != LDNS_STATUS_OK) return std::string("unreadable: ") + ldns_get_errorstr_by_id(status);
  std::unique_ptr<ldns_pkt, Free> p(raw);
  std::unique_ptr<char, Free> rcode(ldns_pkt_rcode2str(ldns_pkt_get_rcode(p.get())));
  std::string out = rcode.get();
  if (ldns_pkt_edns_extended_rcode(p.get()) != 0) out += "+" + std::to_string(ldns_pkt_edns_extended_rcode(p.get()));
  if (ldns_pkt_aa(p.get())) out += " aa";
  if (ldns_pkt_tc(p.get())) out += " tc";
  if (ldns_pkt_edns(p.get())) out += " opt" + std::to_string(ldns_pkt_edns_udp_size(p.get()));
  if (ldns_pkt_edns_do(p.get())) out += " do";
  auto add = [&](const char* section, const ldns_rr_list* list) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
      std::unique_ptr<char, Free> text(ldns_rr2str(ldns_rr_list_rr(list, i)));
      std::istringstream words(text.get());
      std::string line = section;
      for (std::string word; words >> word;) line += " " + word;
      lines.push_back(line);
    }
    std::ranges::sort(lines);
    for (const auto& line : lines) out += "\n" + line;
  };
  add("an", ldns_pkt_answer(p.get()));
  add("ns", ldns_pkt_authority(p.get()));
  add("ar", ldns_pkt_additional(p.get()));
  return out;
}

World::World() {
  auto made = ZoneFacts::make("cluster.local", {IpAddress::v4(0x0a2b000a)}, {*Cidr::parse("10.42.0.0/16")},
                              *Cidr::parse("10.43.0.0/16"));
  EXPECT_TRUE(made) << made.error().text();
  facts = *std::move(made);
  set(service("default", "web", R"({"clusterIP":"10.43.0.1","ports":[
      {"name":"http","port":80},{"name":"dns","protocol":"UDP","port":53}]})"));
  set(service("default", "plain", R"({"clusterIP":"10.43.0.2","ports":[{"port":80}]})"));
  set(service("default", "dual", R"({"clusterIP":"10.43.0.3","clusterIPs":["10.43.0.3","fd00:43::3"],
      "ipFamilies":["IPv4","IPv6"],"ports":[{"name":"http","port":80}]})"));
  set(service("default", "pending", R"({"ports":[{"name":"http","port":80}]})"));
  set(service("data", "db", R"({"clusterIP":"None","ports":[{"name":"pg","port":5432}]})"),
      {slice("data", "db", "-a",
             R"("addressType":"IPv4","endpoints":[
          {"addresses":["10.42.0.5"],"hostname":"db-0"},{"addresses":["10.42.0.6"],"hostname":"db-1"},
          {"addresses":["10.42.0.7"]},{"addresses":["10.42.0.8"],"hostname":"db-2","conditions":{"ready":false}}],)" +
                 kDbPorts),
       slice("data", "db", "-b",
             R"("addressType":"IPv6","endpoints":[
          {"addresses":["fd00:42::5"],"hostname":"db-0"}],)" +
                 kDbPorts)});
  set(service("data", "early", R"({"clusterIP":"None","publishNotReadyAddresses":true,"ports":[{"port":1}]})"),
      {slice("data", "early", "-a", R"("addressType":"IPv4","ports":[],"endpoints":[
          {"addresses":["10.42.0.9"],"conditions":{"ready":false}}])")});
  set(service("data", "empty", R"({"clusterIP":"None","ports":[{"name":"pg","port":1}]})"));
  set(service("names", "outside", R"({"type":"ExternalName","externalName":"www.example.com"})"));
  set(service("names", "inside", R"({"type":"ExternalName","externalName":"web.default.svc.cluster.local"})"));
  set(service("names", "broken", R"({"type":"ExternalName","externalName":"gone.default.svc.cluster.local"})"));
  set(service("names", "ring", R"({"type":"ExternalName","externalName":"ring.names.svc.cluster.local"})"));
}

void World::set(const std::string& service_json, const std::vector<std::string>& slices_json) {
  kube::Unknowns unknowns;
  auto document = json::parse(service_json);
  ASSERT_TRUE(document) << document.error().text();
  auto decoded = kube::decode_service(*json::Reader::of(*document), unknowns);
  ASSERT_TRUE(decoded) << decoded.error().text();
  std::vector<kube::EndpointSlice> slices;
  for (const auto& text : slices_json) {
    auto slice_document = json::parse(text);
    ASSERT_TRUE(slice_document) << text;
    auto one = kube::decode_endpoint_slice(*json::Reader::of(*slice_document), unknowns);
    ASSERT_TRUE(one) << one.error().text();
    slices.push_back(*std::move(one));
  }
  std::vector<const kube::EndpointSlice*> pointers;
  for (const auto& s : slices) pointers.push_back(&s);
  zone.apply({.key = decoded->meta.key(), .records = records_of(*decoded, pointers)});
}

std::string World::answer_to(const std::string& name, const std::string& type, const Ask& ask, std::uint32_t spin) {
  auto wire = query_for(name, type, ask);
  std::vector<std::uint8_t> out(kMaxTcp);
  Query query;
  auto outcome = answer(wire, ask.tcp, zone, facts, spin, out, query);
  if (outcome.next == Next::drop) return "drop";
  if (outcome.next == Next::forward) return "forward";
  if (outcome.next == Next::chase) {
    Name target;
    target.read(Bytes(out).subspan(outcome.target));
    std::string text = "chase ";
    for (std::size_t i = 0; i < target.labels(); i++) text += std::string(target.label(i)) + ".";
    return text;
  }
  std::size_t most = ask.tcp ? kMaxTcp : ask.edns ? static_cast<std::size_t>(std::max(ask.udp_size, 512)) : kPlainUdp;
  EXPECT_LE(outcome.size, most);
  EXPECT_EQ(ldns_read_uint16(out.data()), 0x1234);
  EXPECT_TRUE(std::equal(wire.begin() + kHeader, wire.begin() + kHeader + static_cast<long>(query.question.size()),
                         out.begin() + kHeader));
  return text_of(Bytes(out).first(outcome.size));
}

}  // namespace podshim::netproxy::dns::test
