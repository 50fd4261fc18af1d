#include "common/sys/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/sys/retry.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // 6.3
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // 6.3
#endif

namespace podshim::sys {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<> write_parts(const Fd& fd, const char* name, std::span<const std::string_view> parts) {
  for (auto part : parts) {
    while (!part.empty()) {
      ssize_t n = retry([&] { return ::write(fd.get(), part.data(), part.size()); });
      if (n < 0) return fail(Error::sys("write memfd", name));
      part.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  return {};
}

}  // namespace

Result<Fd> sealed_memfd(const char* name, MemfdKind kind, std::span<const std::string_view> parts) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = ::memfd_create(name, flags | (kind == MemfdKind::program ? MFD_EXEC : MFD_NOEXEC_SEAL));
  // Before 6.3 both words are unknown and every memfd is executable.
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name, flags);
  if (fd < 0) return fail(Error::sys("memfd_create", name));
  Fd owned(fd);
  TRY(write_parts(owned, name, parts));
  if (::fcntl(fd, F_ADD_SEALS, kSeals) != 0) return fail(Error::sys("seal memfd", name));
  return owned;
}

bool is_sealed(const Fd& fd) {
  int seals = ::fcntl(fd.get(), F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

}  // namespace podshim::sys
