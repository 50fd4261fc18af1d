// A zone with one Service of each kind, questions made and answers read by ldns: what we write is read by software that
// is not ours.
#pragma once

#include <string>
#include <vector>

#include "netproxy/dns/answer.h"

namespace podshim::netproxy::dns::test {

struct Ask {
  bool tcp = false;
  bool edns = false;
  int udp_size = 4096;
  bool dnssec_ok = false;
  bool recursion = true;
  std::string klass = "IN";
};

// A query in wire format; its id is 0x1234.
std::vector<std::uint8_t> query_for(const std::string& name, const std::string& type, const Ask& ask = {});

// "<rcode>[ aa][ tc][ ra]" and a line a record, each "<section>: <record>" with single spaces, sorted within a section.
std::string text_of(Bytes message);

class World {
 public:
  World();
  // The text of the answer; "forward", "drop", "chase <target>" where there is none. Fails the test when the
  // answer is longer than the client takes, or its question is not the one asked.
  std::string answer_to(const std::string& name, const std::string& type, const Ask& ask = {}, std::uint32_t spin = 0);
  void set(const std::string& service_json, const std::vector<std::string>& slices_json = {});

  Zone zone;
  ZoneFacts facts;
};

}  // namespace podshim::netproxy::dns::test
