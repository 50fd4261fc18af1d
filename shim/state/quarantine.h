// Quarantine: where records go that cannot be used, <dir>/<name>.json with <dir>/<name>.reason beside it.
// Never fails: what cannot even be moved (a full or read-only disk) is skipped and still told. One thread.
#pragma once

#include <string>
#include <vector>

#include "shim/state/journal.h"

namespace podshim::state {

class Quarantine {
 public:
  explicit Quarantine(std::string dir) : dir_(std::move(dir)) {}

  void take(const std::string& name, const std::string& path, const std::string& reason);
  std::vector<std::string> taken() const;  // "name: reason" of this run
  std::vector<Quarantined> list() const;   // this run's and those of earlier ones, by name; at most kMaxListed

  static constexpr std::size_t kMaxListed = 200;

 private:
  std::string dir_;
  std::vector<Quarantined> taken_;
};

}  // namespace podshim::state
