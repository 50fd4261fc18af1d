#include "netproxy/commands.h"

#include <algorithm>
#include <cstdio>

#include "common/json.h"
#include "common/sys/file.h"
#include "netproxy/dns/address.h"
#include "netproxy/doctor.h"
#include "netproxy/explain.h"
#include "netproxy/node_addresses.h"
#include "netproxy/render_text.h"
#include "netproxy/source_directory.h"

namespace podshim::netproxy {
namespace {

Plan plan_all(const Tracker& tracker, Applied& applied) {
  std::vector<ServiceModel> models;
  auto keys = tracker.services();
  std::ranges::sort(keys);
  for (const auto& key : keys) models.push_back(tracker.model(key));
  auto plan = applied.plan(std::move(models));
  applied.accept(plan);
  return plan;
}

// As the running netproxy serves them; nothing: it says none.
std::optional<std::vector<Cidr>> node_port_addresses_of(const std::optional<json::Value>& status) {
  const auto* list = status && status->is_object() ? status->find("nodePortAddresses") : nullptr;
  if (list == nullptr || !list->is_array()) return std::nullopt;
  std::vector<Cidr> out;
  for (const auto& item : list->as_array()) {
    auto cidr = Cidr::parse(item.is_string() ? item.as_string() : "");
    if (!cidr) return std::nullopt;
    out.push_back(*cidr);
  }
  return out;
}

}  // namespace

Result<int> print_doctor(const Setup& s, bool json) {
  auto kernel = TRY(Kernel::open());
  auto findings = judge(gather_facts(kernel, s.layout), s.service_cidr);
  bool ok = true;
  auto list = json::Value::array();
  for (const auto& f : findings) {
    ok = ok && f.ok;
    list.push(json::Value::object().set("check", f.check).set("ok", f.ok).set("detail", f.detail));
    if (!json) std::printf("%-4s %s%s%s\n", f.ok ? "ok" : "BAD", f.check.c_str(), f.ok ? "" : ": ", f.detail.c_str());
  }
  if (json) std::printf("%s\n", json::dump(json::Value::object().set("ok", ok).set("checks", list), 2).c_str());
  return ok ? 0 : 1;
}

int print_table(Tracker& tracker, const LayoutFacts& layout) {
  Applied applied(layout);
  for (const auto& s : plan_all(tracker, applied).services)
    for (const auto& c : s.conflicts)
      log::warn("front not served: another Service has it",
                {{"service", s.desired.key}, {"front", c.front}, {"owner", c.owner}});
  std::fputs(render_text(applied.ruleset()).c_str(), stdout);
  return 0;
}

Result<int> print_explanation(const Setup& s, const std::string& text, const std::string& status_file) {
  auto question = TRY(parse_question(text));
  if (!sys::exists(s.source)) {  // open() would make it
    auto missing = Error::sys("read", s.source, {}, ENOENT);
    missing.detail = "give the --config or --source of the running netproxy";
    return fail(std::move(missing));
  }
  Tracker tracker(s.node);
  auto source = TRY(SourceDirectory::open(s.source));
  TRY(source.scan(tracker));
  std::optional<json::Value> status;
  if (auto file = sys::read_file(status_file))
    if (auto document = json::parse(*file)) status = *std::move(document);
  // Where node ports are served is an option of its command line, mostly.
  auto layout = s.layout;
  if (auto running = node_port_addresses_of(status)) layout.node_port_addresses = *std::move(running);
  Applied applied(std::move(layout));
  ExplainFacts facts{.tracker = tracker,
                     .applied = applied,
                     .conflicts = {},
                     .node_name = s.node.node_name,
                     .node = TRY(node_addresses()),
                     .status = std::move(status)};
  for (auto& service : plan_all(tracker, applied).services)
    if (!service.conflicts.empty()) facts.conflicts[service.desired.key] = std::move(service.conflicts);
  auto answer = explain(question, facts);
  std::fputs(answer.text.c_str(), stdout);
  return answer.found ? 0 : 1;
}

Result<> cleanup() {
  auto kernel = TRY(Kernel::open());
  auto batch = render_delete();
  auto outcome = TRY(kernel.commit(batch.batch));
  if (!outcome.refusals.empty()) return fail(std::move(outcome.refusals.front().error));
  return dns::remove_left_addresses();
}

}  // namespace podshim::netproxy
