#include "tests/support/log_reader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/support/log_flood.h"

namespace podshim::test {
namespace {

constexpr const char* kShape = "dddd-dd-ddTdd:dd:dd.dddddddddZ stdxxx t ";  // d: a digit
constexpr std::size_t kHead = 40, kStreamAt = 31, kTagAt = 38;
constexpr std::size_t kMaxPiece = 16 * 1024;

std::optional<std::uint64_t> number_of(const std::string& content) {
  if (content.size() < flood::kNumber) return std::nullopt;
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < flood::kNumber; i++) {
    if (content[i] < '0' || content[i] > '9') return std::nullopt;
    out = out * 10 + static_cast<std::uint64_t>(content[i] - '0');
  }
  return out;
}

class FloodReader {
 public:
  FloodReader(std::size_t mean, bool gaps_allowed, LogSummary* out) : mean_(mean), gaps_(gaps_allowed), out_(*out) {}

  void file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string record, content;
    while (std::getline(in, record)) {
      if (in.eof()) return wrong(path + ": it ends in the middle of a record: " + record.substr(0, 80));
      char tag = 0;
      if (auto why = check_record(record, &tag, &content); !why.empty())
        return wrong(path + ": " + why + ": " + record.substr(0, 80));
      line_ += content;
      if (tag == 'F') take_line();
    }
  }

 private:
  void wrong(const std::string& what) {
    if (out_.wrong.size() < 10) out_.wrong.push_back(what);
  }
  void take_line() {
    std::string line;
    line.swap(line_);
    const auto number = number_of(line);
    if (!number) return wrong("not a line: " + line.substr(0, 80));
    flood::make_line(*number, mean_, &want_);
    if (line != want_) {
      // Its end was lost: nothing else may have happened to it.
      if (!gaps_ || !want_.starts_with(line)) return wrong("line " + std::to_string(*number) + " is not as written");
      out_.missing_bytes += want_.size() + 1 - line.size();
      out_.bytes += line.size();
    } else {
      out_.bytes += line.size() + 1;
    }
    if (out_.lines++ == 0) out_.first = next_ = *number;
    if (*number < next_) return wrong("line " + std::to_string(*number) + " again, after " + std::to_string(next_ - 1));
    for (; next_ < *number; next_++) {
      if (!gaps_) {
        wrong("line " + std::to_string(next_) + " is missing before " + std::to_string(*number));
        next_ = *number;
        break;
      }
      flood::make_line(next_, mean_, &want_);
      out_.missing_lines++;
      out_.missing_bytes += want_.size() + 1;
    }
    next_ = *number + 1;
  }

  const std::size_t mean_;
  const bool gaps_;
  LogSummary& out_;
  std::string line_, want_;
  std::uint64_t next_ = 0;
};

// Timestamps sort as text. A file may begin in the middle of a line: its number does not say when.
std::string first_time(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string record;
  return std::getline(in, record) ? record.substr(0, kStreamAt) : "~";  // empty: the newest
}

}  // namespace

std::string check_record(const std::string& line, char* tag, std::string* content) {
  if (line.size() < kHead) return "too short for a record";
  for (std::size_t i = 0; i < kStreamAt; i++) {
    const bool digit = line[i] >= '0' && line[i] <= '9';
    if (kShape[i] == 'd' ? !digit : line[i] != kShape[i]) return "no timestamp";
  }
  const std::string stream = line.substr(kStreamAt, kTagAt - kStreamAt);
  if (stream != "stdout " && stream != "stderr ") return "no stream";
  *tag = line[kTagAt];
  if ((*tag != 'P' && *tag != 'F') || line[kTagAt + 1] != ' ') return "no tag";
  *content = line.substr(kHead);
  return content->size() > kMaxPiece ? "a piece of more than 16 KiB" : "";
}

LogSummary read_flood(const std::string& dir, const std::string& name, std::size_t mean, bool gaps_allowed) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir))
    if (entry.path().filename().string().starts_with(name))
      files.emplace_back(first_time(entry.path()), entry.path().string());
  std::sort(files.begin(), files.end());
  LogSummary out;
  FloodReader reader(mean, gaps_allowed, &out);
  for (const auto& [first, path] : files) reader.file(path);
  return out;
}

}  // namespace podshim::test
