// The State of one network in <data dir>/<network>/leases, guarded by flock(2) on the file `lock` beside it, which the
// kernel drops with the process. Written beside and renamed: a process killed at any point leaves the old State or the
// new one. Nothing is synced: after a power cut the boot id differs and no lease counts. A file that does not parse is
// set aside as `leases.bad` when it is of another boot, and an error when it is of this one (its leases may be alive).
#pragma once

#include <memory>

#include "cni/ipam/store.h"
#include "common/fd.h"

namespace podshim::cni::ipam {

class DiskStore : public Store {
 public:
  // Waits for the lock. Without `create` a network that has no directory yet is ENOENT.
  static Result<std::unique_ptr<DiskStore>> open(const std::string& data_dir, const std::string& network,
                                                 std::string boot_id, bool create);
  Result<State> load() override;  // renewed for this boot
  Result<> save(const State& state) override;

 private:
  DiskStore(std::string dir, Fd lock, std::string boot_id)
      : dir_(std::move(dir)), lock_(std::move(lock)), boot_id_(std::move(boot_id)) {}
  std::string dir_;
  Fd lock_;
  std::string boot_id_;
};

Result<std::string> read_boot_id();

}  // namespace podshim::cni::ipam
