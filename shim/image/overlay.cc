#include "shim/image/overlay.h"

#include <sys/mount.h>

#include "common/sys/file.h"
#include "common/sys/in_directory.h"
#include "common/sys/mount.h"

namespace podshim::image {
namespace {

constexpr std::size_t kStringMax = 255;  // strndup_user(_value, 256) in fsconfig(2)
// LayerDir keeps them. overlayfs refuses one directory twice (ELOOP).
constexpr const char *kMountPoint = "empty", *kEmpty = "empty/a", *kEmptyToo = "empty/b";

// Topmost first, as overlayfs wants them. An overlay without an upper needs two.
std::vector<std::string> lowers_of(const OverlaySpec& spec) {
  std::vector<std::string> lowers(spec.layers.rbegin(), spec.layers.rend());
  if (lowers.empty() || (spec.upper.empty() && lowers.size() == 1)) lowers.emplace_back(kEmpty);
  if (spec.upper.empty() && lowers.size() == 1) lowers.emplace_back(kEmptyToo);
  return lowers;
}

std::string joined(const std::vector<std::string>& lowers) {
  std::string out;
  for (const auto& lower : lowers) out += (out.empty() ? "" : ":") + lower;
  return out;
}

Result<Fd> configure(const OverlayPlan& plan) { return sys::new_mount("overlay", plan.options, 0); }

Result<Fd> mount_page(const OverlayPlan& plan) {
  // Any directory serves as the mount point: the mount lives in this thread's namespace for a moment.
  if (::mount("overlay", kMountPoint, "overlay", 0, plan.page.c_str()) != 0) {
    return fail(Error::sys("mount", "overlay", std::to_string(plan.page.size()) + " bytes of options"));
  }
  return sys::copy_mount(Fd(), kMountPoint, false);
}

}  // namespace

bool is_plain_option(const std::string& path) {
  return path.size() <= kStringMax && path.find_first_of(",:\\") == std::string::npos;
}

Result<OverlayPlan> plan_overlay(const OverlaySpec& spec, const HostFacts& facts) {
  std::vector<std::string> lowers = lowers_of(spec);
  std::vector<std::pair<std::string, std::string>> rest;
  if (!spec.upper.empty()) rest = {{"upperdir", spec.upper}, {"workdir", spec.work}};
  rest.emplace_back("index", "off");
  rest.emplace_back("metacopy", "off");

  OverlayPlan plan;
  // The longest name below the layers' directory is "/", 16 digits, "/fs".
  if (facts.overlay_lowerdir_plus && is_plain_option(spec.layers_dir + "/0123456789abcdef/fs")) {
    for (const auto& lower : lowers) plan.options.emplace_back("lowerdir+", spec.layers_dir + "/" + lower);
    plan.options.insert(plan.options.end(), rest.begin(), rest.end());
    return plan;
  }
  std::string lowerdir = joined(lowers);
  plan.options = {{"lowerdir", lowerdir}};
  plan.options.insert(plan.options.end(), rest.begin(), rest.end());
  if (lowerdir.size() <= kStringMax) {
    plan.method = OverlayMethod::one_string;
    return plan;
  }
  plan.method = OverlayMethod::one_page;
  for (const auto& [key, value] : plan.options) plan.page += (plan.page.empty() ? "" : ",") + key + "=" + value;
  if (plan.page.size() >= facts.page_size) {
    return fail(Error::of(ErrorKind::invalid_argument, "mount overlay", std::to_string(spec.layers.size()) + " layers",
                          "more than this kernel takes: its mount options end at one page"));
  }
  return plan;
}

Result<Fd> mount_overlay(const OverlayPlan& plan, const std::string& layers_dir) {
  if (plan.method == OverlayMethod::lowerdir_plus) return configure(plan);
  bool page = plan.method == OverlayMethod::one_page;
  Fd dir = TRY(sys::open(layers_dir, O_PATH | O_DIRECTORY));
  Fd mount;
  TRY(sys::in_directory(dir, page, [&]() -> Result<> {
    mount = TRY(page ? mount_page(plan) : configure(plan));
    return {};
  }));
  return mount;
}

Result<Fd> mount_lower_view(const std::string& layers_dir, const std::vector<std::string>& layers,
                            const HostFacts& facts) {
  OverlayPlan plan = TRY(plan_overlay({.layers_dir = layers_dir, .layers = layers}, facts));
  return mount_overlay(plan, layers_dir);
}

// A copy is only made of what is attached in the caller's mount namespace (before 6.15): a thread's own, for a moment.
Result<Fd> mount_below(const Fd& view, const std::string& path, const std::string& layers_dir) {
  const Fd source = TRY(sys::open_in_root(view, path, O_PATH));
  Fd dir = TRY(sys::open(layers_dir, O_PATH | O_DIRECTORY));
  Fd mount;
  TRY(sys::in_directory(dir, true, [&]() -> Result<> {
    TRY(sys::attach_mount(view, kMountPoint));
    mount = TRY(sys::copy_mount(source, "", false));
    return {};
  }));
  return mount;
}

}  // namespace podshim::image
