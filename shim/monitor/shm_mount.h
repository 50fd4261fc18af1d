// ShmMount: the Pod's /dev/shm, from which every container gets a mount of its own.
//
// From 6.15 a detached mount can be copied as it is. Before, a copy is only made of a mount in the caller's mount
// namespace: the mount is then kept as the root of a namespace that holds nothing else (so it pins no mount of the
// host), which the monitor enters for the length of one open_tree(2). Only for a process of one thread; CAP_SYS_ADMIN.
#pragma once

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

class ShmMount {
 public:
  // `detached_copy` = false takes the older kernels' way, for tests.
  explicit ShmMount(bool detached_copy = true) : detached_copy_(detached_copy) {}
  void set(Fd mount);
  bool empty() const { return !mount_ && !holder_; }
  Result<Fd> copy();

 private:
  Result<> hold();

  bool detached_copy_;
  Fd mount_;
  Fd holder_;  // mount namespace whose root is the mount
};

}  // namespace podshim
