#include <sys/mount.h>

#include "shim/plan/mounts.h"

namespace podshim {
namespace {

constexpr std::int32_t kScratch = static_cast<std::int32_t>(Slot::first_free);  // new mounts, closed when attached

void add_attributes(Program& program, const MountPlan& mount, std::int32_t slot) {
  const std::uint64_t recursive = mount.recursive ? 1 : 0;
  const bool one_call = mount.attributes == 0 || mount.recursive_attributes == mount.recursive;
  if (!one_call) program.add({.op = Op::mount_attr, .slot = slot, .x = mount.attributes});
  const std::uint64_t set = one_call ? mount.attributes : 0;
  if (set != 0 || mount.propagation != 0)
    program.add({.op = Op::mount_attr, .slot = slot, .x = set, .z = mount.propagation, .w = recursive});
}

void add_attach(Program& program, const MountPlan& mount, std::int32_t slot) {
  program.add({.op = Op::attach, .slot = slot, .x = mount.readonly_at_end ? 1ULL : 0ULL, .b = mount.target});
}

}  // namespace

Result<> add_mount_steps(Program& program, const std::vector<MountPlan>& mounts, const std::string& staging_dir,
                         const Program& below) {
  std::vector<std::int32_t> slots(mounts.size(), kScratch);
  std::int32_t next = kScratch + 1;
  for (std::size_t i = 0; i < mounts.size(); i++) {
    const auto& mount = mounts[i];
    if (mount.kind == MountPlan::Kind::given) slots[i] = static_cast<std::int32_t>(mount.slot);
    if (mount.kind == MountPlan::Kind::bind || mount.readonly_at_end) slots[i] = next++;
    if (next > kSlots)
      return fail(Error::invalid("config.mounts",
                                 std::to_string(mounts.size()) + " mounts are more than a container can have"));
    if (mount.kind == MountPlan::Kind::bind)
      program.add({.op = Op::open_tree, .slot = slots[i], .x = mount.recursive ? 1ULL : 0ULL, .b = mount.source});
  }
  program.add({.op = Op::propagation, .x = MS_SLAVE});
  program.add({.op = Op::attach_root, .slot = static_cast<std::int32_t>(Slot::root), .b = staging_dir});
  for (std::size_t i = 0; i < mounts.size(); i++) {
    const auto& mount = mounts[i];
    if (mount.kind != MountPlan::Kind::fresh) add_attributes(program, mount, slots[i]);
    if (mount.kind == MountPlan::Kind::fresh)
      program.add(
          {.op = Op::new_mount, .slot = slots[i], .x = mount.attributes, .a = mount.source, .b = mount.options});
    add_attach(program, mount, slots[i]);
  }
  program.steps.insert(program.steps.end(), below.steps.begin(), below.steps.end());
  for (std::size_t i = 0; i < mounts.size(); i++)
    if (mounts[i].readonly_at_end) program.add({.op = Op::mount_attr, .slot = slots[i], .x = MOUNT_ATTR_RDONLY});
  return {};
}

}  // namespace podshim
