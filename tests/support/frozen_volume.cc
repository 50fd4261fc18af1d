#include "tests/support/frozen_volume.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace podshim::test {
namespace {

constexpr std::uint64_t kData = 2;  // node id of the directory; the root is 1
constexpr std::size_t kBuffer = 1 << 20;

fuse_attr directory(std::uint64_t node) {
  fuse_attr a{};
  a.ino = node;
  a.mode = S_IFDIR | 0755;
  a.nlink = 2;
  a.blksize = 4096;
  return a;
}

}  // namespace

FrozenVolume::FrozenVolume(std::string mount_point) : path_(std::move(mount_point)) {
  ::mkdir(path_.c_str(), 0755);
  device_ = Fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
  const std::string options =
      "fd=" + std::to_string(device_.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  mounted_ = device_ && ::mount("podshim-frozen", path_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
  if (mounted_) server_ = std::thread([this] { serve(); });
}

FrozenVolume::~FrozenVolume() {
  end();
  if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  ::rmdir(path_.c_str());
}

bool FrozenVolume::waited_for() const {
  pollfd request{.fd = device_.get(), .events = POLLIN, .revents = 0};
  return frozen_ && ::poll(&request, 1, 0) == 1 && (request.revents & POLLIN) != 0;
}

void FrozenVolume::end() {
  stop_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
  if (server_.joinable()) server_.join();
  device_ = Fd();  // the last reference: the kernel aborts the connection
}

void FrozenVolume::serve() {
  const auto buffer = std::make_unique<char[]>(kBuffer);
  while (!stop_) {
    // Frozen, requests stay unread: who waits can still be killed.
    pollfd waits[] = {{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                      {.fd = device_.get(), .events = static_cast<short>(frozen_ ? 0 : POLLIN), .revents = 0}};
    ::poll(waits, 2, 20);
    if (frozen_ || waits[1].revents == 0) continue;
    const ssize_t n = ::read(device_.get(), buffer.get(), kBuffer);
    if (swallowing_)
      swallowed_++;
    else if (n >= static_cast<ssize_t>(sizeof(fuse_in_header)))
      answer(buffer.get(), static_cast<std::size_t>(n));
  }
}

void FrozenVolume::answer(const char* request, std::size_t) {
  fuse_in_header in;
  std::memcpy(&in, request, sizeof in);
  fuse_out_header out{.len = sizeof out, .error = 0, .unique = in.unique};
  union {
    fuse_init_out init;
    fuse_attr_out attr;
    fuse_entry_out entry;
    fuse_open_out open;
    fuse_statfs_out statfs;
  } body;
  std::memset(&body, 0, sizeof body);
  std::size_t size = 0;
  switch (in.opcode) {
    case FUSE_INIT:
      body.init.major = FUSE_KERNEL_VERSION;
      body.init.minor = FUSE_KERNEL_MINOR_VERSION;
      body.init.max_write = 4096;
      size = sizeof body.init;
      break;
    case FUSE_GETATTR:
      body.attr.attr = directory(in.nodeid);
      size = sizeof body.attr;
      break;
    case FUSE_LOOKUP:  // never kept: each look asks again
      if (lookups_ > 0 && --lookups_ == 0) frozen_ = true;
      if (std::strcmp(request + sizeof in, "data") != 0) {
        out.error = -ENOENT;
        break;
      }
      body.entry.nodeid = kData;
      body.entry.attr = directory(kData);
      size = sizeof body.entry;
      break;
    case FUSE_OPENDIR:
      size = sizeof body.open;
      break;
    case FUSE_STATFS:
      size = sizeof body.statfs;
      break;
    case FUSE_READDIR:  // empty
    case FUSE_RELEASEDIR:
      break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;  // have no answer
    default:
      out.error = -ENOSYS;
  }
  out.len += static_cast<std::uint32_t>(size);
  const iovec parts[] = {{.iov_base = &out, .iov_len = sizeof out}, {.iov_base = &body, .iov_len = size}};
  [[maybe_unused]] auto n = ::writev(device_.get(), parts, 2);
}

}  // namespace podshim::test
