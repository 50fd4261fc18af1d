// A report of the joined rows, in four forms. Pure. `notes` say when and where: date, kernel, load, versions.
#pragma once

#include "tests/bench/report_rows.h"

namespace podshim::bench {

std::string as_text(const std::vector<Table>& tables, const std::vector<std::string>& notes);
// Each section between `<!-- bench: SECTION -->` and `<!-- end of bench: SECTION -->`, to be put into
// docs/performance.md.
std::string as_markdown(const std::vector<Table>& tables, const std::vector<std::string>& notes);
std::string as_svg(const std::vector<Table>& tables, const std::vector<std::string>& notes);
std::string as_json(const std::vector<Table>& tables, const std::vector<std::string>& notes);

}  // namespace podshim::bench
