// Overlay mounts of layers, as detached mount fds: no mount table of the host grows.
//
// Three ways, decided by plan_overlay():
//   lowerdir_plus  fsconfig "lowerdir+" per layer, absolute paths (Linux 6.5)
//   one_string     fsconfig "lowerdir=", paths relative to the layers' directory; strings of fsconfig(2) end at 255
//   bytes one_page       mount(2) with the same in its one page of data, in a mount namespace of a helper thread's own,
//   taken
//                  out of it by open_tree(2); about 200 layers, more are a clear error
// The two latter run on a thread whose working directory is its own. Options as containerd's overlayfs snapshotter has
// them (index off), and metacopy off, so that what a layer says of redirects is never followed.
// Needs CAP_SYS_ADMIN. Any thread. Nothing is left on failure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/facts.h"

namespace podshim::image {

struct OverlaySpec {
  std::string layers_dir;           // absolute
  std::vector<std::string> layers;  // relative to it, lowest first
  std::string upper, work;          // both empty: read-only
};

enum class OverlayMethod { lowerdir_plus, one_string, one_page };

struct OverlayPlan {
  OverlayMethod method = OverlayMethod::lowerdir_plus;
  std::vector<std::pair<std::string, std::string>> options;  // in order
  std::string page;                                          // one_page: mount(2)'s data
  bool operator==(const OverlayPlan&) const = default;
};

Result<OverlayPlan> plan_overlay(const OverlaySpec& spec, const HostFacts& facts);
Result<Fd> mount_overlay(const OverlayPlan& plan, const std::string& layers_dir);

// The merged layers, read-only: for look-ups while the next layer is unpacked, and for images as volumes.
Result<Fd> mount_lower_view(const std::string& layers_dir, const std::vector<std::string>& layers,
                            const HostFacts& facts);

// What lies at `path` inside the detached mount `view`, every link resolved in it, as a detached mount of its own.
Result<Fd> mount_below(const Fd& view, const std::string& path, const std::string& layers_dir);

// A path in mount options is taken as it is; one with ',', ':' or '\' or of more than 255 bytes must be said otherwise.
bool is_plain_option(const std::string& path);

}  // namespace podshim::image
