#include "tests/bench/report_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

namespace podshim::bench {
namespace {

std::string trim(const std::string& text) {
  auto begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::optional<Target>> parse_target(const std::string& key, std::string_view text) {
  if (text.empty()) return std::optional<Target>();
  Target t;
  if (text.ends_with('x')) {
    text.remove_suffix(1);
  } else if (text.starts_with("<=")) {
    t.kind = Target::Kind::at_most;
    text.remove_prefix(2);
  } else if (text.starts_with('+')) {
    t.kind = Target::Kind::over_peer;
    text.remove_prefix(1);
  } else {
    return fail(Error::invalid(key, "a target is 12x, <=5 or +2"));
  }
  auto value = to_number(text);
  if (!value) return fail(Error::invalid(key, "\"" + std::string(text) + "\" is no number"));
  t.value = *value;
  return std::optional<Target>(t);
}

Result<Row> parse_row(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line + "|");
  for (std::string cell; std::getline(in, cell, '|');) cells.push_back(trim(cell));
  if (cells.size() != 6) return fail(Error::invalid(line, "a row has six cells"));
  Row row{.key = cells[0], .operation = cells[1], .unit = cells[2]};
  row.bar = TRY(parse_target(row.key, cells[3]));
  row.budget = TRY(parse_target(row.key, cells[4]));
  row.peer_elsewhere = to_number(cells[5]);
  return row;
}

Figure figure(std::vector<double> values, bool more_is_better) {
  std::ranges::sort(values);
  if (more_is_better) std::ranges::reverse(values);
  auto at = [&](double quantile) {
    return values[static_cast<std::size_t>(quantile * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {.median = at(0.5), .p95 = at(0.95), .count = values.size()};
}

}  // namespace

std::optional<double> Row::ratio() const {
  if (!ours || !peer || ours->median <= 0 || peer->median <= 0) return std::nullopt;
  return more_is_better() ? ours->median / peer->median : peer->median / ours->median;
}

std::optional<bool> Row::meets(const std::optional<Target>& target) const {
  if (!target || !ours) return std::nullopt;
  switch (target->kind) {
    case Target::Kind::times:
      return ratio() ? std::optional(*ratio() >= target->value) : std::nullopt;
    case Target::Kind::at_most:
      return ours->median <= target->value;
    case Target::Kind::over_peer:
      return peer ? std::optional(ours->median <= peer->median + target->value) : std::nullopt;
  }
  return std::nullopt;
}

bool Row::peer_is_strange() const {
  if (!peer || !peer_elsewhere) return false;
  return peer->median > 2 * *peer_elsewhere || peer->median < *peer_elsewhere / 2;
}

Result<std::vector<Table>> parse_rows(const std::string& text) {
  std::vector<Table> tables;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (trim(line).empty() || line.starts_with('#')) continue;
    if (auto end = line.find(']'); line.starts_with('[') && end != std::string::npos) {
      tables.push_back({.key = line.substr(1, end - 1), .heading = trim(line.substr(end + 1)), .rows = {}});
      continue;
    }
    if (tables.empty()) return fail(Error::invalid(line, "a row before the first table"));
    tables.back().rows.push_back(TRY(parse_row(line)));
  }
  return tables;
}

Result<std::vector<Table>> join(std::vector<Table> tables, const std::string& samples) {
  std::map<std::string, std::vector<double>> values[2];
  std::istringstream in(samples);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string key, side;
    double value = 0;
    if (!(words >> key >> side >> value) || (side != "ours" && side != "peer"))
      return fail(Error::invalid(line, "a sample is KEY ours|peer VALUE"));
    values[side == "peer"][key].push_back(value);
  }
  for (auto& table : tables) {
    for (auto& row : table.rows) {
      if (auto found = values[0].extract(row.key)) row.ours = figure(found.mapped(), row.more_is_better());
      if (auto found = values[1].extract(row.key)) row.peer = figure(found.mapped(), row.more_is_better());
    }
    std::erase_if(table.rows, [](const Row& row) { return !row.ours && !row.peer; });
  }
  std::erase_if(tables, [](const Table& table) { return table.rows.empty(); });
  for (const auto& side : values)
    if (!side.empty()) return fail(Error::invalid(side.begin()->first, "no row has this key"));
  return tables;
}

std::string number(double value) {
  char text[32];
  int digits = std::fabs(value) >= 100 ? 0 : std::fabs(value) >= 10 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string target_text(const Row& row, const std::optional<Target>& target) {
  if (!target) return "";
  char value[32];
  std::snprintf(value, sizeof value, "%g", target->value);
  switch (target->kind) {
    case Target::Kind::times:
      return std::string(value) + "x";
    case Target::Kind::at_most:
      return std::string(value) + " " + row.unit;
    case Target::Kind::over_peer:
      return "peer + " + std::string(value) + " " + row.unit;
  }
  return "";
}

}  // namespace podshim::bench
