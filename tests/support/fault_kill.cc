// The fault points of the fault-injection build (podshim-fault, podshim-monitor-fault). In the fault directory each
// name is appended to `trace` when that file is there; `armed` holds "<n> <name>", is taken when seen, and the process
// ends at the n-th passing of that name from then on.
//
// The daemon's fault directory is $PODSHIM_FAULT_DIR. A monitor has no environment: it finds the same directory three
// above that of its sandbox (<dir>/state/sandboxes/<id>, a descriptor it inherits), and its files are called
// `monitor-trace` and so on.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "common/fault.h"
#ifdef PODSHIM_FAULT_MONITOR
#include "shim/monitor/protocol.h"
#endif

namespace podshim {
namespace {

std::mutex g_mutex;  // guards what follows, and makes the trace's order the order of passing
long g_left = 0;     // passings of g_name until the end; 0: no order
char g_name[64] = {};

#ifdef PODSHIM_FAULT_MONITOR
int fault_dir() { return kMonitorDirFd; }
std::string path_of(const char* name) { return std::string("../../../monitor-") + name; }
#else
int fault_dir() { return AT_FDCWD; }
std::string path_of(const char* name) {
  const char* dir = std::getenv("PODSHIM_FAULT_DIR");
  return dir == nullptr ? std::string() : std::string(dir) + "/" + name;
}
#endif

void note(const char* step) {
  const int fd = ::openat(fault_dir(), path_of("trace").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return;
  const std::string line = std::string(step) + "\n";
  [[maybe_unused]] auto n = ::write(fd, line.data(), line.size());
  ::close(fd);
}

void take_order() {
  const std::string path = path_of("armed");
  const int fd = ::openat(fault_dir(), path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char text[96] = {};
  if (::read(fd, text, sizeof text - 1) > 0) std::sscanf(text, "%ld %63[^\n]", &g_left, g_name);
  ::close(fd);
  ::unlinkat(fault_dir(), path.c_str(), 0);
}

}  // namespace

void fault_point(const char* step) noexcept {
  const int saved = errno;
  {
    std::lock_guard lock(g_mutex);
    note(step);
    take_order();
    if (g_left > 0 && std::strcmp(step, g_name) == 0 && --g_left == 0) {
      ::close(::openat(fault_dir(), path_of("died").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      ::kill(::getpid(), SIGKILL);
    }
  }
  errno = saved;
}

}  // namespace podshim
