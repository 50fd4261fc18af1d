// LogWriter: one container's log file in the CRI format, written by the monitor alone.
//
//   2026-01-02T03:04:05.678901234Z stdout F a whole line
//   2026-01-02T03:04:05.678901234Z stderr P the first 16 KiB of a long line
//
// A line is written when its end arrives, or in P pieces of 16 KiB; what is left when the stream ends becomes an F
// record. A write error never reaches the container: the bytes are counted as dropped and the next record starts on a
// line of its own. With a limit, the file is cut so that it stays below `max_bytes`: only after an F record, by
// renaming (path -> path.1 -> path.2 ...) and opening anew; `max_files` counts them all. A line that outgrows two files
// is ended with an empty F record, so that a program without newlines cannot fill the disk.
#pragma once

#include <sys/uio.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

enum class LogStream { out = 0, err = 1 };
inline constexpr std::size_t kMaxLogPiece = 16 * 1024;

struct LogLimits {
  std::int64_t max_bytes = 0;  // 0 = no limit
  int max_files = 0;
};

class LogWriter {
 public:
  // The file exists when this returns. An empty path: everything is discarded.
  Result<> open(std::string path, LogLimits limits);
  // After somebody renamed the file. On failure the old file stays in use.
  Result<> reopen();
  void write(LogStream stream, std::string_view data, const timespec& now);
  void end(LogStream stream, const timespec& now);
  std::uint64_t dropped() const { return dropped_; }

 private:
  static constexpr int kVectors = 256;
  static constexpr int kVectorsPerRecord = 3;
  struct Batch;

  Result<Fd> open_file() const;
  void emit(Batch& batch, LogStream stream, bool full, std::string_view content);
  bool must_cut(const Batch& batch, std::size_t length) const;
  void cut(Batch& batch);
  void flush(Batch& batch);
  void rotate();

  std::string path_;
  LogLimits limits_;
  Fd file_;
  std::int64_t size_ = 0;
  std::uint64_t dropped_ = 0;
  bool torn_ = false;                   // the file ends in the middle of a record
  bool open_line_[2] = {false, false};  // a P record waits for its F
  std::string pending_[2];              // the start of a line whose end has not arrived
};

// "2026-01-02T03:04:05.678901234Z" into `out`; no locale, no time zone files.
inline constexpr std::size_t kTimestampLength = 30;
void format_timestamp(const timespec& time, char out[kTimestampLength]);

}  // namespace podshim
