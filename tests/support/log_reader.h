// A strict reader of CRI logs: every byte must belong to a record as the format has it. Used on what log_flood wrote,
// in several files: each is read as a whole, their order is that of the time of their first record.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace podshim::test {

struct LogSummary {
  std::uint64_t first = 0, lines = 0, bytes = 0;  // of lines, newlines included
  std::uint64_t missing_lines = 0, missing_bytes = 0;
  std::vector<std::string> wrong;  // cut records, doubles, lines out of order or changed; at most 10
};

// "": the record is as it should be; its tag ('P', 'F') and content.
std::string check_record(const std::string& line, char* tag, std::string* content);

// All files of `dir` whose names begin with `name`. Lines are those of log_flood with `mean`. `gaps_allowed`: lines may
// be missing, those that are there must be whole and in order.
LogSummary read_flood(const std::string& dir, const std::string& name, std::size_t mean, bool gaps_allowed = false);

}  // namespace podshim::test
