#include "shim/monitor/exit_record.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/fault.h"
#include "common/sys/file.h"

namespace podshim {
namespace {

constexpr int kSignalBase = 128;  // the shell's convention, which CRI clients expect

Result<> sync_directory_of(const std::string& path) {
  auto slash = path.rfind('/');
  Fd dir = TRY(sys::open(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY));
  fault_point("sync exits");
  if (::fsync(dir.get()) != 0) return fail(Error::sys("fsync", path));
  return {};
}

}  // namespace

ExitInfo exit_of(int wait_status, std::int64_t now_ns) {
  ExitInfo exit{.finished_at_ns = now_ns};
  if (WIFSIGNALED(wait_status)) {
    exit.signal = WTERMSIG(wait_status);
    exit.code = kSignalBase + exit.signal;
  } else {
    exit.code = WEXITSTATUS(wait_status);
  }
  return exit;
}

Result<> write_exit_record(const std::string& path, std::string_view id, const ExitInfo& exit) {
  char text[256];
  int length = std::snprintf(text, sizeof text,
                             R"({"id":"%.*s","exit_code":%d,"signal":%d,"oom_killed":%s,"finished_at_ns":%lld})"
                             "\n",
                             static_cast<int>(id.size()), id.data(), exit.code, exit.signal,
                             exit.oom_killed ? "true" : "false", static_cast<long long>(exit.finished_at_ns));
  std::string temporary = path + ".new";
  fault_point("write exit record");
  Fd file = TRY(sys::open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRY(sys::write_all(file, {text, static_cast<std::size_t>(length)}, temporary));
  fault_point("sync exit record");
  if (::fsync(file.get()) != 0) return fail(Error::sys("fsync", temporary));
  fault_point("rename exit record");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(Error::sys("rename", temporary, path));
  return sync_directory_of(path);
}

std::uint64_t parse_oom_kills(std::string_view text) {
  constexpr std::string_view kKey = "oom_kill ";
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(kKey)) continue;
    std::uint64_t count = 0;
    for (char c : line.substr(kKey.size())) {
      if (c < '0' || c > '9') break;
      count = count * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return count;
  }
  return 0;
}

std::uint64_t oom_kills(const std::string& path) {
  if (path.empty()) return 0;
  auto file = sys::open(path, O_RDONLY);
  if (!file) return 0;
  char text[1024];
  ssize_t n = ::read(file->get(), text, sizeof text);
  return n > 0 ? parse_oom_kills({text, static_cast<std::size_t>(n)}) : 0;
}

}  // namespace podshim
