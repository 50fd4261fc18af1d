#include "cni/skel/pod_netns.h"

#include <sys/stat.h>

#include "common/sys/netns.h"

namespace podshim::cni {

Result<Fd> open_pod_netns(const Request& request) {
  Fd netns = TRY(sys::open_netns(request.netns));
  struct stat theirs{};
  struct stat own{};
  if (::fstat(netns.get(), &theirs) != 0) return fail(Error::sys("stat", request.netns));
  if (::stat("/proc/self/ns/net", &own) == 0 && own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev)
    return fail(Error::invalid("CNI_NETNS", request.netns + " is the node's own network namespace"));
  return netns;
}

}  // namespace podshim::cni
