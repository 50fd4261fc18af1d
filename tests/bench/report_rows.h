// The rows of a report: hack/bench.d/rows (what is measured, bars, budgets) joined with the samples. Pure but for the
// reading of the two files. A row without samples is left out, a table without rows too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace podshim::bench {

struct Figure {
  double median = 0, p95 = 0;  // p95 lies towards the worse end, whichever that is
  std::size_t count = 0;
};

// What must be true of a row. "12x": so many times better than the peer; "<=5": ours at most; "+2": ours at most so
// much over the peer.
struct Target {
  enum class Kind { times, at_most, over_peer };
  Kind kind = Kind::times;
  double value = 0;
};

struct Row {
  std::string key, operation, unit;
  std::optional<Target> bar, budget;
  std::optional<double> peer_elsewhere;
  std::optional<Figure> ours, peer;

  bool more_is_better() const { return unit.ends_with("/s"); }
  std::optional<double> ratio() const;                            // of the medians: how many times better ours is
  std::optional<bool> meets(const std::optional<Target>&) const;  // nothing when there is no target or no figure
  bool peer_is_strange() const;                                   // 2x off what it took elsewhere
};

struct Table {
  std::string key, heading;
  std::vector<Row> rows;
  std::string section() const { return key.substr(0, key.find('.')); }
};

Result<std::vector<Table>> parse_rows(const std::string& text);
// Every line is "KEY SIDE VALUE"; a key that no row has is an error.
Result<std::vector<Table>> join(std::vector<Table> tables, const std::string& samples);

std::string target_text(const Row& row, const std::optional<Target>& target);  // "12x", "5 ms", "peer + 2 ms", ""
std::string number(double value);                                              // three digits that matter

}  // namespace podshim::bench
