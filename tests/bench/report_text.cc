#include <cstdio>

#include "common/json.h"
#include "tests/bench/report.h"

namespace podshim::bench {
namespace {

std::string cell(const std::optional<Figure>& f, double Figure::* member) { return f ? number((*f).*member) : ""; }

std::string ratio_text(const Row& row) { return row.ratio() ? number(*row.ratio()) + "x" : ""; }

std::string verdict(const Row& row, const std::optional<Target>& target, const char* missed) {
  auto text = target_text(row, target);
  return row.meets(target).value_or(true) ? text : text + missed;
}

std::vector<std::string> strange(const std::vector<Table>& tables) {
  std::vector<std::string> out;
  for (const auto& table : tables)
    for (const auto& row : table.rows)
      if (row.peer_is_strange())
        out.push_back(row.key + ": the peer took " + number(row.peer->median) + " " + row.unit + ", elsewhere " +
                      number(*row.peer_elsewhere) + ": 2x off, mind the ratio");
  return out;
}

json::Value json_figure(const std::optional<Figure>& f) {
  if (!f) return {};
  return json::Value::object().set("median", f->median).set("p95", f->p95).set("samples", f->count);
}

json::Value json_target(const Row& row, const std::optional<Target>& target) {
  if (!target) return {};
  auto met = row.meets(target);
  return json::Value::object()
      .set("target", target_text(row, target))
      .set("met", met ? json::Value(*met) : json::Value());
}

}  // namespace

std::string as_text(const std::vector<Table>& tables, const std::vector<std::string>& notes) {
  std::string out;
  char line[256];
  int bars = 0, met = 0;
  for (const auto& table : tables) {
    out += table.heading + "\n";
    std::snprintf(line, sizeof line, "  %-62s %-6s %9s %9s %9s %9s %8s  %-18s %s\n", "", "", "ours", "p95", "peer",
                  "p95", "ratio", "bar", "budget");
    out += line;
    for (const auto& row : table.rows) {
      std::snprintf(line, sizeof line, "  %-62s %-6s %9s %9s %9s %9s %8s  %-18s %s\n", row.operation.c_str(),
                    row.unit.c_str(), cell(row.ours, &Figure::median).c_str(), cell(row.ours, &Figure::p95).c_str(),
                    cell(row.peer, &Figure::median).c_str(), cell(row.peer, &Figure::p95).c_str(),
                    ratio_text(row).c_str(), verdict(row, row.bar, " MISSED").c_str(),
                    verdict(row, row.budget, " (not yet)").c_str());
      out += line;
      bars += row.meets(row.bar).has_value();
      met += row.meets(row.bar).value_or(false);
    }
    out += "\n";
  }
  out += std::to_string(met) + " of " + std::to_string(bars) + " bars met\n";
  for (const auto& text : strange(tables)) out += text + "\n";
  for (const auto& note : notes) out += note + "\n";
  return out;
}

std::string as_markdown(const std::vector<Table>& tables, const std::vector<std::string>& notes) {
  std::string out, open;
  auto close = [&] {
    if (!open.empty()) out += "<!-- end of bench: " + open + " -->\n";
  };
  for (const auto& table : tables) {
    if (table.section() != open) {
      close();
      open = table.section();
      out += "<!-- bench: " + open + " -->\n";
      for (const auto& note : notes) out += note + (&note == &notes.back() ? "\n" : "; ");
    }
    out += "\n### " + table.heading + "\n\n| operation | unit | ours | p95 | peer | p95 | ratio | bar | budget |\n";
    out += "|---|---|---|---|---|---|---|---|---|\n";
    for (const auto& row : table.rows)
      out += "| " + row.operation + " | " + row.unit + " | " + cell(row.ours, &Figure::median) + " | " +
             cell(row.ours, &Figure::p95) + " | " + cell(row.peer, &Figure::median) + " | " +
             cell(row.peer, &Figure::p95) + " | " + ratio_text(row) + " | " + verdict(row, row.bar, " **missed**") +
             " | " + verdict(row, row.budget, " (not yet)") + " |\n";
    bool first = true;
    for (const auto& text : strange({table})) out += (first ? "\n" : "") + text + "\n", first = false;
  }
  close();
  return out;
}

std::string as_json(const std::vector<Table>& tables, const std::vector<std::string>& notes) {
  auto rows = json::Value::array();
  for (const auto& table : tables)
    for (const auto& row : table.rows)
      rows.push(json::Value::object()
                    .set("key", row.key)
                    .set("table", table.heading)
                    .set("operation", row.operation)
                    .set("unit", row.unit)
                    .set("ours", json_figure(row.ours))
                    .set("peer", json_figure(row.peer))
                    .set("ratio", row.ratio() ? json::Value(*row.ratio()) : json::Value())
                    .set("bar", json_target(row, row.bar))
                    .set("budget", json_target(row, row.budget))
                    .set("peer_is_strange", row.peer_is_strange()));
  auto document = json::Value::object().set("notes", json::Value::strings(notes)).set("rows", std::move(rows));
  return json::dump(document, 2) + "\n";
}

}  // namespace podshim::bench
