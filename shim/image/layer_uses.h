// LayerUses: which containers use which layers, as a directory of symlinks `<key>.<hash>` to the containers'
// directories: the layer `key` and all below it are in use while that directory exists. Nobody has to report its end,
// and a restart does not forget it. Keeps no state of its own; who adds and lists at the same time orders that.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace podshim::image {

class LayerUses {
 public:
  struct Use {
    std::string name;  // of the symlink
    std::string key;   // of the topmost layer
  };

  explicit LayerUses(std::string dir) : dir_(std::move(dir)) {}

  // By `container_dir` (an absolute path) from now on. Twice is once.
  Result<> add(const std::string& key, const std::string& container_dir) const;
  // Those whose container is there still; removes the others. ENOENT: there is no such directory.
  Result<std::vector<Use>> list() const;
  // Some of them in another such directory too, which is made: each there already is success.
  Result<> copy(const std::vector<Use>& uses, const std::string& dir) const;

 private:
  const std::string dir_;
};

}  // namespace podshim::image
