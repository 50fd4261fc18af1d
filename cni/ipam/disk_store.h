// The State of one network in <data dir>/<network>/leases, guarded by flock(2) on the file `lock` beside it, which the
// kernel drops with the process. Written beside, in `leases.new`, and swapped, then written there once more: a process
// killed at any point leaves the old State or the new one in `leases`, and between two calls there are two equal
// copies. Nothing is synced: after a power cut the boot id differs and no lease counts.
//
// A `leases` that is gone or does not parse is made anew from the other copy and from its own good lines, and kept as
// `leases.bad`, with a warning. Where neither copy is whole the State is `lost`, which is written too. That a network
// had leases in this boot is known by the boot id in `lock`; whose whole directory went is a new one.
#pragma once

#include <memory>
#include <optional>

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
  Result<State> recover(const std::optional<std::string>& leases);
  bool had_leases() const;  // in this boot
  Result<> write_copy(const std::string& text) const;
  std::string dir_;
  Fd lock_;
  std::string boot_id_;
};

Result<std::string> read_boot_id();

}  // namespace podshim::cni::ipam
