// FrozenVolume: a FUSE file system with one directory, whose server stops answering on demand: what touches it then
// waits, as on a dead NFS server. Mounted in the test's mount namespace; the destructor ends the connection, by which
// all who wait fail with ENOTCONN, and unmounts. Nothing of it survives the test's death but the entry in the mount
// table. Needs root and /dev/fuse. The test itself must not look below path() while it is frozen.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "common/fd.h"

namespace podshim::test {

class FrozenVolume {
 public:
  explicit FrozenVolume(std::string mount_point);  // made here
  ~FrozenVolume();
  FrozenVolume(const FrozenVolume&) = delete;
  FrozenVolume& operator=(const FrozenVolume&) = delete;

  bool mounted() const { return mounted_; }
  std::string data() const { return path_ + "/data"; }  // the directory
  void freeze() { frozen_ = true; }
  void freeze_after(int lookups) { lookups_ = lookups; }  // > 0: so many are answered before
  bool frozen() const { return frozen_; }
  bool waited_for() const;  // frozen, and a request is unread: somebody hangs there
  // Requests are read and not answered: who waits cannot even be killed.
  void swallow() { swallowing_ = true; }
  int swallowed() const { return swallowed_; }
  void end();  // all who wait fail

 private:
  void serve();
  void answer(const char* request, std::size_t size);

  const std::string path_;
  Fd device_, wake_;
  bool mounted_ = false;
  std::atomic<bool> frozen_{false}, swallowing_{false}, stop_{false};
  std::atomic<int> lookups_{0}, swallowed_{0};
  std::thread server_;
};

}  // namespace podshim::test
