// bench_report: the table of a bench run on stdout, and if asked for as JSON, as a plot and as text for the docs.
//
//   bench_report --rows FILE --samples FILE [--json FILE] [--svg FILE] [--markdown FILE] [--note TEXT]...
#include <cstdio>
#include <map>

#include "common/sys/file.h"
#include "tests/bench/report.h"

namespace {

using namespace podshim;
using namespace podshim::bench;

Result<> report(const std::map<std::string, std::string>& files, const std::vector<std::string>& notes) {
  auto tables = TRY(parse_rows(TRY(sys::read_file(files.at("--rows")))));
  tables = TRY(join(std::move(tables), TRY(sys::read_file(files.at("--samples")))));
  std::fputs(as_text(tables, notes).c_str(), stdout);
  const struct {
    const char* flag;
    std::string (*form)(const std::vector<Table>&, const std::vector<std::string>&);
  } kForms[] = {{"--json", as_json}, {"--svg", as_svg}, {"--markdown", as_markdown}};
  for (const auto& [flag, form] : kForms)
    if (auto file = files.find(flag); file != files.end())
      TRY(sys::write_file_atomic(file->second, form(tables, notes)));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> files;
  std::vector<std::string> notes;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--note") {
      notes.emplace_back(argv[i + 1]);
    } else {
      files[argv[i]] = argv[i + 1];
    }
  }
  if (!files.contains("--rows") || !files.contains("--samples")) {
    std::fprintf(
        stderr,
        "bench_report --rows FILE --samples FILE [--json FILE] [--svg FILE] [--markdown FILE] [--note TEXT]...\n");
    return 2;
  }
  auto done = report(files, notes);
  if (done) return 0;
  std::fprintf(stderr, "bench_report: %s\n", done.error().text().c_str());
  return 1;
}
