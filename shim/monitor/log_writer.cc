#include "shim/monitor/log_writer.h"

#include <sys/stat.h>

#include <cstring>
#include <utility>

#include "common/sys/retry.h"

namespace podshim {
namespace {

constexpr std::size_t kPrefixLength = kTimestampLength + sizeof(" stdout F ") - 1;
constexpr int kVectors = 768;  // below UIO_MAXIOV
constexpr int kVectorsPerRecord = 3;
constexpr int kLongLine = 8;  // a line may outgrow the limit by an eighth of it

}  // namespace

// The records of one read, on their way to one writev.
struct LogWriter::Batch {
  struct Record {
    std::uint32_t size;     // in the file
    std::uint32_t content;  // of it the container's
    bool err, full;
  };

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
  Record records[kVectors / 2];
  int count = 0, record_count = 0;
  std::size_t bytes = 0;

  bool has_room(int more) const {
    return count + more * kVectorsPerRecord <= kVectors && record_count + more <= kVectors / 2;
  }
  void add(const char* data, std::size_t size) {
    vectors[count++] = {const_cast<char*>(data), size};
    bytes += size;
  }
  // `lost`: how many bytes of the container go with it.
  void add_record(int which, bool full, std::string_view content, bool newline_follows, std::size_t lost,
                  std::size_t before = 0) {
    const std::size_t start = bytes - before;
    add(prefix[which][full ? 1 : 0], kPrefixLength);
    if (newline_follows) {
      add(content.data(), content.size() + 1);
    } else {
      if (!content.empty()) add(content.data(), content.size());
      add("\n", 1);
    }
    records[record_count++] = {.size = static_cast<std::uint32_t>(bytes - start),
                               .content = static_cast<std::uint32_t>(lost),
                               .err = which != 0,
                               .full = full};
  }
};

bool LogWriter::take_news() {
  if (dropped_ == told_ || (losing_ && told_ != 0 && dropped_ < 2 * told_)) return false;
  told_ = dropped_;
  return true;
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
      const std::size_t length = carried.size() + end;
      emit(batch, stream, true, {carried.append(data.substr(0, end + 1)).data(), length}, true);
      data.remove_prefix(end + 1);
    } else if (data.size() > room) {
      emit(batch, stream, false, carried.append(data.substr(0, room)), false);
      data.remove_prefix(room);
    } else {
      carried.append(data).swap(pending_[static_cast<int>(stream)]);
      return;
    }
  }
  while (!data.empty()) {
    auto end = data.substr(0, kMaxLogPiece + 1).find('\n');
    if (end != std::string_view::npos) {
      emit(batch, stream, true, data.substr(0, end), true);
      data.remove_prefix(end + 1);
    } else if (data.size() > kMaxLogPiece) {
      emit(batch, stream, false, data.substr(0, kMaxLogPiece), false);
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
  emit(batch, stream, true, last, false);
  flush(batch);
}

bool LogWriter::must_cut(const Batch& batch, std::size_t length) const {
  auto used = size_ + static_cast<std::int64_t>(batch.bytes);
  auto wanted = used + static_cast<std::int64_t>(length);
  if (limits_.max_bytes <= 0 || used == 0 || wanted <= limits_.max_bytes) return false;
  return (!open_line_[0] && !open_line_[1]) || wanted > limits_.max_bytes + limits_.max_bytes / kLongLine;
}

void LogWriter::cut(Batch& batch) {
  if (!batch.has_room(2)) flush(batch);
  for (int which = 0; which < 2; which++)
    if (std::exchange(open_line_[which], false)) batch.add_record(which, true, {}, false, 0);
  flush(batch);
  rotate();
}

void LogWriter::emit(Batch& batch, LogStream stream, bool full, std::string_view content, bool newline_follows) {
  const int which = static_cast<int>(stream);
  const std::size_t lost = content.size() + (newline_follows ? 1 : 0);
  if (!batch.has_room(2)) flush(batch);
  if (!skip_[which] && must_cut(batch, kPrefixLength + content.size() + 1)) cut(batch);
  if (skip_[which]) {
    dropped_ += lost;
    skip_[which] = !full;
    return;
  }
  std::size_t before = 0;
  if (batch.count == 0 && torn_) {
    batch.add("\n", 1);
    before = 1;
  }
  if (std::exchange(end_first_[which], false)) batch.add_record(which, true, {}, false, 0, std::exchange(before, 0));
  batch.add_record(which, full, content, newline_follows, lost, before);
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
    if (left > 0) *at = {static_cast<char*>(at->iov_base) + left, at->iov_len - left};
  }
  settle(batch, written);
  batch.count = batch.record_count = 0;
  batch.bytes = 0;
}

// What stands in the file now, and what is lost.
void LogWriter::settle(const Batch& batch, std::size_t written) {
  std::size_t kept = 0;
  bool lost[2] = {false, false};
  for (int i = 0; i < batch.record_count; i++) {
    const auto& record = batch.records[i];
    const int which = record.err ? 1 : 0;
    if (!lost[0] && !lost[1] && kept + record.size <= written) {
      kept += record.size;
      in_file_[which] = !record.full;
      continue;
    }
    lost[which] = true;
    dropped_ += record.content;
    skip_[which] = !record.full;
  }
  torn_ = torn_ && kept == 0;
  size_ += static_cast<std::int64_t>(kept);
  losing_ = kept != batch.bytes;
  if (!losing_) return;
  for (int which = 0; which < 2; which++) {
    open_line_[which] = in_file_[which];
    end_first_[which] = end_first_[which] || (lost[which] && in_file_[which]);
  }
  if (written == kept) return;
  const auto excess = static_cast<off_t>(written - kept);
  struct stat st{};
  if (::fstat(file_.get(), &st) != 0 || st.st_size < excess || ::ftruncate(file_.get(), st.st_size - excess) != 0)
    torn_ = true;
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
