#include "shim/apply/image_view.h"

#include <sys/stat.h>

#include <string>

#include "common/sys/file.h"

namespace podshim {
namespace {

constexpr std::size_t kMaxSize = 1UL << 20;

// O_NONBLOCK: an image may have a FIFO there.
Result<std::string> read_text(const Fd& root, const char* path) {
  auto file = sys::open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file && (file.error().is(ENOENT) || file.error().is(ENOTDIR))) return std::string();
  if (!file) return fail(std::move(file).error().within("read the image's users"));
  struct stat st{};
  if (::fstat(file->get(), &st) != 0) return fail(Error::sys("stat", path));
  if (!S_ISREG(st.st_mode)) return fail(Error::sys("read the image's users", path, {}, EINVAL));
  return TRY_IN(sys::read_all(*file, path, kMaxSize), "read the image's users");
}

}  // namespace

Result<UserFiles> read_user_files(const Fd& root) {
  return UserFiles{.passwd = TRY(read_text(root, "/etc/passwd")), .group = TRY(read_text(root, "/etc/group"))};
}

}  // namespace podshim
