// LogWriter: one container's log file in the CRI format, written by the monitor alone.
//
//   2026-01-02T03:04:05.678901234Z stdout F a whole line
//   2026-01-02T03:04:05.678901234Z stderr P the first 16 KiB of a long line
//
// A line is written when its end arrives, or in P pieces of 16 KiB; what is left when the stream ends becomes an F
// record. A write error never reaches the container: a record stands in the file whole or not at all (what a full disk
// took of one is cut off again), the bytes of the container that are lost are counted, a line that lost a piece loses
// the rest too, and with room again the next line is written.
//
// With a limit, the file is cut so that it stays below `max_bytes`, after an F record only: the new file takes the name
// in one step (RENAME_EXCHANGE), so that a reader always finds one, then path.1 -> path.2 and so on; `max_files` counts
// them all. A rotation that fails loses no file (log_rotation.cc): the file in use grows on, and it is tried again one
// limit later. A line that outgrows the limit by an eighth is ended with an empty F record, so that a program without
// newlines cannot fill the disk. What a killed writer left between two steps (path.new) is put in its place by open().
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
  // True when somebody should be told of dropped(): at the first loss, each time it has doubled, and once nothing is
  // lost any more.
  bool take_news();
  std::uint64_t dropped() const { return dropped_; }  // bytes of the container, newlines included

 private:
  struct Batch;

  Result<Fd> open_file(const std::string& path) const;
  void emit(Batch& batch, LogStream stream, bool full, std::string_view content, bool newline_follows);
  bool must_cut(const Batch& batch, std::size_t length) const;
  void cut(Batch& batch);
  void flush(Batch& batch);
  void settle(const Batch& batch, std::size_t written);
  void use(Fd file);
  bool moved_away() const;
  bool shift() const;
  void drop_oldest() const;
  bool put_away(const std::string& next) const;
  void rotate();

  std::string path_;
  LogLimits limits_;
  Fd file_;
  std::int64_t size_ = 0;
  std::uint64_t dropped_ = 0, told_ = 0;
  bool losing_ = false;
  bool was_away_ = false;  // somebody had moved the file when the limit was reached
  bool torn_ = false;      // the file ends in the middle of a record, and could not be cut back
  // Of each stream.
  bool open_line_[2] = {false, false};  // a P record waits for its F
  bool in_file_[2] = {false, false};    // the same, of what has been written out
  bool end_first_[2] = {false, false};  // the F of that line was lost: an empty one comes before the next record
  bool skip_[2] = {false, false};       // a piece of this line was lost: the rest goes too
  std::string pending_[2];              // the start of a line whose end has not arrived
};

// "2026-01-02T03:04:05.678901234Z" into `out`; no locale, no time zone files.
inline constexpr std::size_t kTimestampLength = 30;
void format_timestamp(const timespec& time, char out[kTimestampLength]);

}  // namespace podshim
