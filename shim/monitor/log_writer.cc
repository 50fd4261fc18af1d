#include "shim/monitor/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim {
namespace {

constexpr mode_t kLogMode = 0640;
constexpr std::size_t kPrefixLength = kTimestampLength + sizeof(" stdout F ") - 1;

}  // namespace

// The records of one read, on their way to one writev.
struct LogWriter::Batch {
  Batch(LogStream s, const timespec& now) : stream(s) {
    char time[kTimestampLength];
    format_timestamp(now, time);
    for (int which = 0; which < 2; which++)
      for (int full = 0; full < 2; full++) {
        char* at = prefix[which][full];
        std::memcpy(at, time, kTimestampLength);
        std::memcpy(at + kTimestampLength, which == 0 ? " stdout " : " stderr ", 8);
        at[kPrefixLength - 2] = full != 0 ? 'F' : 'P';
        at[kPrefixLength - 1] = ' ';
      }
  }
  LogStream stream;
  char prefix[2][2][kPrefixLength];
  iovec vectors[kVectors];
  int count = 0;
  std::size_t bytes = 0;

  void add(const char* data, std::size_t size) {
    vectors[count++] = {const_cast<char*>(data), size};
    bytes += size;
  }
};

Result<Fd> LogWriter::open_file() const {
  return sys::open(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, kLogMode);
}

Result<> LogWriter::open(std::string path, LogLimits limits) {
  path_ = std::move(path);
  limits_ = limits;
  return path_.empty() ? Result<>() : reopen();
}

Result<> LogWriter::reopen() {
  if (path_.empty()) return {};
  Fd file = TRY(open_file());
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail(Error::sys("fstat", path_));
  file_ = std::move(file);
  size_ = st.st_size;
  torn_ = false;
  return {};
}

void LogWriter::write(LogStream stream, std::string_view data, const timespec& now) {
  if (!file_) return;
  Batch batch(stream, now);
  // Records point into `carried` and `data` until the flush at the end.
  std::string carried;
  carried.swap(pending_[static_cast<int>(stream)]);
  if (!carried.empty()) {
    std::size_t room = kMaxLogPiece - carried.size();
    auto end = data.substr(0, room + 1).find('\n');
    if (end != std::string_view::npos) {
      emit(batch, stream, true, carried.append(data.substr(0, end)));
      data.remove_prefix(end + 1);
    } else if (data.size() > room) {
      emit(batch, stream, false, carried.append(data.substr(0, room)));
      data.remove_prefix(room);
    } else {
      carried.append(data).swap(pending_[static_cast<int>(stream)]);
      return;
    }
  }
  while (!data.empty()) {
    auto end = data.substr(0, kMaxLogPiece + 1).find('\n');
    if (end != std::string_view::npos) {
      emit(batch, stream, true, data.substr(0, end));
      data.remove_prefix(end + 1);
    } else if (data.size() > kMaxLogPiece) {
      emit(batch, stream, false, data.substr(0, kMaxLogPiece));
      data.remove_prefix(kMaxLogPiece);
    } else {
      pending_[static_cast<int>(stream)].assign(data);
      break;
    }
  }
  flush(batch);
}

void LogWriter::end(LogStream stream, const timespec& now) {
  int which = static_cast<int>(stream);
  if (!file_ || (pending_[which].empty() && !open_line_[which])) return;
  Batch batch(stream, now);
  std::string last;
  last.swap(pending_[which]);
  emit(batch, stream, true, last);
  flush(batch);
}

bool LogWriter::must_cut(const Batch& batch, std::size_t length) const {
  auto used = size_ + static_cast<std::int64_t>(batch.bytes);
  auto wanted = used + static_cast<std::int64_t>(length);
  if (limits_.max_bytes <= 0 || used == 0 || wanted <= limits_.max_bytes) return false;
  return (!open_line_[0] && !open_line_[1]) || wanted > 2 * limits_.max_bytes;
}

void LogWriter::cut(Batch& batch) {
  if (batch.count + 2 * kVectorsPerRecord > kVectors) flush(batch);
  for (int which = 0; which < 2; which++)
    if (std::exchange(open_line_[which], false)) {
      batch.add(batch.prefix[which][1], kPrefixLength);
      batch.add("\n", 1);
    }
  flush(batch);
  rotate();
}

void LogWriter::emit(Batch& batch, LogStream stream, bool full, std::string_view content) {
  int which = static_cast<int>(stream);
  if (must_cut(batch, kPrefixLength + content.size() + 1)) cut(batch);
  if (batch.count + kVectorsPerRecord + 1 > kVectors) flush(batch);
  if (batch.count == 0 && torn_) batch.add("\n", 1);
  batch.add(batch.prefix[which][full ? 1 : 0], kPrefixLength);
  if (!content.empty()) batch.add(content.data(), content.size());
  batch.add("\n", 1);
  open_line_[which] = !full;
}

void LogWriter::flush(Batch& batch) {
  iovec* at = batch.vectors;
  std::size_t written = 0;
  while (written < batch.bytes) {
    int count = batch.count - static_cast<int>(at - batch.vectors);
    ssize_t n = sys::retry([&] { return ::writev(file_.get(), at, count); });
    if (n <= 0) break;
    written += static_cast<std::size_t>(n);
    auto left = static_cast<std::size_t>(n);
    while (left > 0 && left >= at->iov_len) left -= (at++)->iov_len;
    const char* end =
        left > 0 ? static_cast<char*>(at->iov_base) + left : static_cast<char*>((at - 1)->iov_base) + (at - 1)->iov_len;
    torn_ = end[-1] != '\n';
    if (left > 0) *at = {static_cast<char*>(at->iov_base) + left, at->iov_len - left};
  }
  size_ += static_cast<std::int64_t>(written);
  dropped_ += batch.bytes - written;
  batch.count = 0;
  batch.bytes = 0;
}

// A failure keeps the file in use and tries again one limit later.
void LogWriter::rotate() {
  size_ = 0;
  if (limits_.max_files <= 1) {
    if (::ftruncate(file_.get(), 0) == 0) torn_ = false;
    return;
  }
  auto name = [&](int n) { return n == 0 ? path_ : path_ + "." + std::to_string(n); };
  for (int n = limits_.max_files - 1; n > 0; n--)
    if (::rename(name(n - 1).c_str(), name(n).c_str()) != 0 && n == 1) return;
  if (auto file = open_file()) {
    file_ = std::move(*file);
    torn_ = false;
  }
}

// Days to a civil date as in RFC 3339; the era arithmetic of the proleptic Gregorian calendar: 400 years = 146097 days.
void format_timestamp(const timespec& time, char out[kTimestampLength]) {
  constexpr std::int64_t kDay = 86400, kEraDays = 146097, kEpochShift = 719468;  // days from 0000-03-01 to 1970-01-01
  std::int64_t days = time.tv_sec / kDay, seconds = time.tv_sec % kDay;
  if (seconds < 0) {
    seconds += kDay;
    days--;
  }
  days += kEpochShift;
  std::int64_t era = (days >= 0 ? days : days - kEraDays + 1) / kEraDays;
  std::int64_t day_of_era = days - era * kEraDays;
  std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  std::int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  std::int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  auto put = [&out](std::size_t at, int digits, std::int64_t value) {
    for (int i = digits - 1; i >= 0; i--, value /= 10)
      out[at + static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
  };
  std::memcpy(out, "0000-00-00T00:00:00.000000000Z", kTimestampLength);
  put(0, 4, year);
  put(5, 2, month);
  put(8, 2, day);
  put(11, 2, seconds / 3600);
  put(14, 2, seconds / 60 % 60);
  put(17, 2, seconds % 60);
  put(20, 9, time.tv_nsec);
}

}  // namespace podshim
