// Files: thin wrappers with EINTR retried and errno + path in every error. All fds are close-on-exec.
// "Already gone" is success for remove_*(). Any thread. A failed write_file_atomic leaves the old file as it was.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

Result<Fd> open(const std::string& path, int flags, mode_t mode = 0);
Result<Fd> open_at(const Fd& dir, const std::string& path, int flags, mode_t mode = 0);
// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: for every path that an image or a volume gives.
Result<Fd> open_in_root(const Fd& root, const std::string& path, int flags, mode_t mode = 0);
// The same with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV: nothing on the way may be a link or a mount.
Result<Fd> open_beneath(const Fd& dir, const std::string& path, int flags);

Result<std::string> read_file(const std::string& path, std::size_t limit = 64UL << 20);  // EFBIG above the limit
Result<std::string> read_all(const Fd& fd, const std::string& subject, std::size_t limit = 64UL << 20);
// One open(O_WRONLY [| O_CREAT|O_TRUNC when mode != 0]) and write: kernel files take the whole text in one write.
Result<> write_file(const std::string& path, std::string_view text, mode_t mode = 0);
Result<> write_all(const Fd& fd, std::string_view data, const std::string& subject);
// Temporary file beside it + rename(2). No fsync unless `durable`.
Result<> write_file_atomic(const std::string& path, std::string_view text, mode_t mode = 0644, bool durable = false);

Result<> make_dir(const std::string& path, mode_t mode = 0755);   // EEXIST on a directory is success
Result<> make_dirs(const std::string& path, mode_t mode = 0755);  // mkdir -p
Result<> remove_file(const std::string& path);
Result<> remove_dir(const std::string& path);   // rmdir(2)
Result<> remove_tree(const std::string& path);  // does not follow symlinks, does not cross into other file systems
bool exists(const std::string& path);           // lstat says yes
Result<std::vector<std::string>> list_dir(
    const std::string& path);  // names without . and .., sorted; ENOENT is an error

}  // namespace podshim::sys
