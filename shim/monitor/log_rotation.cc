// LogWriter's files: opened, and turned at the limit. Whatever step of a rotation fails, the writer goes on with the
// file it has and every older one is still there: the new file is made first, names move towards the first free number
// only, and the oldest file goes last of all. The next rotation goes on where this one ended.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <utility>

#include "common/sys/file.h"
#include "shim/monitor/log_writer.h"

namespace podshim {
namespace {

constexpr mode_t kLogMode = 0640;

std::string numbered(const std::string& path, int n) { return path + "." + std::to_string(n); }

bool exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

bool moved(const std::string& from, const std::string& to) { return ::rename(from.c_str(), to.c_str()) == 0; }

}  // namespace

Result<Fd> LogWriter::open_file(const std::string& path) const {
  return sys::open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, kLogMode);
}

Result<> LogWriter::open(std::string path, LogLimits limits) {
  path_ = std::move(path);
  limits_ = limits;
  if (path_.empty()) return {};
  (void)put_away(path_ + ".new");  // one that cannot be moved waits for the next rotation
  return reopen();
}

Result<> LogWriter::reopen() {
  if (path_.empty()) return {};
  Fd file = TRY(open_file(path_));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail(Error::sys("fstat", path_));
  use(std::move(file));
  size_ = st.st_size;
  return {};
}

void LogWriter::use(Fd file) {
  file_ = std::move(file);
  size_ = 0;
  torn_ = was_away_ = false;
}

// By a kubelet, which is going to ask for a new one.
bool LogWriter::moved_away() const {
  struct stat mine{}, there{};
  if (::fstat(file_.get(), &mine) != 0 || ::stat(path_.c_str(), &there) != 0) return true;
  return mine.st_ino != there.st_ino || mine.st_dev != there.st_dev;
}

// path.1 becomes free. Where no number is, the oldest one gets one beyond the limit: drop_oldest() takes it once
// its successor is in place.
bool LogWriter::shift() const {
  int free = 1;
  while (free < limits_.max_files && exists(numbered(path_, free))) free++;
  for (int n = free; n > 1; n--)
    if (!moved(numbered(path_, n - 1), numbered(path_, n))) return false;
  return true;
}

void LogWriter::drop_oldest() const { ::unlink(numbered(path_, limits_.max_files).c_str()); }

// What a rotation left under its passing name: an empty file was on its way in, one that holds something on its way
// out.
bool LogWriter::put_away(const std::string& next) const {
  struct stat st{};
  if (::lstat(next.c_str(), &st) != 0) return true;
  if (!S_ISREG(st.st_mode)) return false;
  if (st.st_size == 0) return ::unlink(next.c_str()) == 0;
  if (!shift() || !moved(next, numbered(path_, 1))) return false;
  drop_oldest();
  return true;
}

void LogWriter::rotate() {
  size_ = 0;  // a failure is tried again one limit later
  if (limits_.max_files <= 1) {
    if (::ftruncate(file_.get(), 0) == 0) torn_ = false;
    return;
  }
  // A kubelet moved it and is about to ask for a new one, or to move it back: only if it does neither, the name is
  // ours.
  if (moved_away()) {
    if (std::exchange(was_away_, true))
      if (auto file = open_file(path_)) use(std::move(*file));
    return;
  }
  was_away_ = false;
  const std::string next = path_ + ".new", last = numbered(path_, 1);
  if (!put_away(next)) return;
  auto file = open_file(next);
  if (!file) return;
  if (::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    use(std::move(*file));
    (void)put_away(next);
    return;
  }
  // No such call on this file system: the name is away for a moment.
  if (!shift() || !moved(path_, last)) return;
  if (!moved(next, path_)) {
    (void)moved(last, path_);
    return;
  }
  use(std::move(*file));
  drop_oldest();
}

}  // namespace podshim
