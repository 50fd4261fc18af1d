// explain: what happens to a connection to ADDRESS:PORT, or to those of a Service, and when it is refused or dropped,
// why. Answers from the Services and slices as they are in the source and from the table planned from them; what a
// running netproxy has acknowledged is told beside it. Pure; one thread.
#pragma once

#include <map>

#include "common/json.h"
#include "netproxy/diff.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

struct Question {
  std::optional<IpAddress> address;  // else a Service
  int port = 0;
  Protocol protocol = Protocol::tcp;
  std::string service;  // namespace/name
};
// "10.43.0.1:80", "[fd00::1]:53/udp", "web", "shop/web".
Result<Question> parse_question(const std::string& text);

struct ExplainFacts {
  const Tracker& tracker;
  const Applied& applied;                                  // planned from the tracker
  std::map<std::string, std::vector<Conflict>> conflicts;  // by Service
  std::string node_name;
  std::vector<IpAddress> node;        // its addresses
  std::optional<json::Value> status;  // of the running netproxy
};

struct Explanation {
  bool found = false;  // a Service has it
  std::string text;    // lines
};
Explanation explain(const Question& question, const ExplainFacts& facts);

}  // namespace podshim::netproxy
