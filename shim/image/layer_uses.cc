#include "shim/image/layer_uses.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "shim/image/digest.h"

namespace podshim::image {

Result<> LayerUses::add(const std::string& key, const std::string& container_dir) const {
  const std::string use = dir_ + "/" + key + "." + Digest::of(container_dir).hex().substr(0, 16);
  fault_point("hold layer");
  if (::symlink(container_dir.c_str(), use.c_str()) == 0 || errno == EEXIST) return {};
  return fail(Error::sys("symlink", container_dir, use));
}

Result<std::vector<LayerUses::Use>> LayerUses::list() const {
  std::vector<Use> out;
  for (const auto& name : TRY(sys::list_dir(dir_))) {
    const std::string use = dir_ + "/" + name;
    struct stat st{};
    if (::stat(use.c_str(), &st) == 0 || errno != ENOENT) {  // follows: the container's directory is there
      out.push_back({.name = name, .key = name.substr(0, name.find('.'))});
    } else {
      TRY(sys::remove_file(use));
    }
  }
  return out;
}

Result<> LayerUses::copy(const std::vector<Use>& uses, const std::string& dir) const {
  TRY(sys::make_dir(dir, 0700));
  for (const auto& use : uses) {
    const std::string from = dir_ + "/" + use.name, to = dir + "/" + use.name;
    fault_point("copy use of layer");
    if (::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST)  // link(2) does not follow a symlink
      return fail(Error::sys("link", from, to));
  }
  return {};
}

}  // namespace podshim::image
