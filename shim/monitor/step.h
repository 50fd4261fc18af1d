// Step: the flat program that a cloned child runs before it becomes a container, an exec or pause.
//
// The daemon plans it (shim/plan, pure), sends it to the monitor, and the child executes it in order and decides
// nothing. A step is standard layout and holds indexes or pointers into memory prepared before clone. Slots name the
// child's file descriptors: the first ones are given by the monitor (Slot), the rest are free for the plan. Only stdin,
// stdout and stderr are numbers too; a path like /proc/self/fd/<slot> means nothing.
// A failed step stops the child with ChildError{step, errno}; a step with kMayFail goes on.
// Without a word in the plan: the child is in a session of its own, has umask 0 until `umask`, no fd but stdio
// crosses exec, signals are at their defaults and unblocked there (blocked for pause, which sets its own mask).
// Sources: mount_setattr(2), move_mount(2), fsopen(2), openat2(2), setns(2), seccomp(2), capabilities(7).
#pragma once

#include <cstdint>

namespace podshim {

enum class Op : std::uint16_t {
  // Anywhere
  write_file,  // text a into path b (absolute, on what is "/" now): cgroup tasks, sysctls, oom_score_adj
  // Namespaces
  set_ns,        // fd slot, x = CLONE_NEW* kind
  unshare,       // x = CLONE_NEW* flags
  set_hostname,  // text a
  loopback_up,   // lo of this network namespace
  // Mounts taken from the host, before enter_root
  open_tree,     // path b -> slot; x = 1 recursive. A clone: OPEN_TREE_CLONE
  open_tree_at,  // path b below the directory in slot y, resolved in that root -> slot; x = 1 recursive
  new_mount,     // fsopen type a with options b ("k=v,flag") -> slot; x = MOUNT_ATTR_* flags
  mount_attr,    // on the mount in slot: x = attr_set, y = attr_clr, z = propagation (MS_*), w = 1 recursive
  propagation,   // mount("", "/", x = MS_* | MS_REC)
  attach_root,   // the root mount in slot goes on the staging directory b; what follows resolves below it
  attach,        // the mount in slot goes on path b below the root; the mount point is made when missing
                 // (a directory or a file as the source is); b resolved with RESOLVE_IN_ROOT; x = 1: keep slot open.
                 // Slot::console comes after Slot::pts: its mount is made from the attached one
  // Below the root
  make_dir,       // path b, x = mode; parents too; existing is fine
  make_symlink,   // a <- path b; existing is fine
  make_node,      // path b, x = mode | type, y = dev, z = uid, w = gid
  mask_path,      // path b: /dev/null over a file, an empty read-only tmpfs over a directory; missing is fine
  readonly_path,  // path b: bound on itself read-only, recursive; missing is fine
  readonly_root,  // the root mount becomes read-only
  enter_root,     // pivot_root into the root, the old one detached, cwd "/"
  // The process
  new_session,  // a session it has already; x = 1: slot 0 becomes the controlling terminal
  rlimit,       // x = RLIMIT_*, y = soft, z = hard
  umask,        // x
  no_dumpable,  // PR_SET_DUMPABLE 0; children are born so, exec makes them dumpable again
  bound_caps,   // x = mask that stays in the bounding set
  set_groups,   // blob a: array of u32
  set_gid,      // x (all three)
  set_uid,      // x (all three), with PR_SET_KEEPCAPS around it; pipes and tty of stdio are given to x first
  set_caps,     // x = effective, y = permitted, z = inheritable, w = ambient
  no_new_privs,
  seccomp,       // blob a: array of sock_filter; x = SECCOMP_FILTER_FLAG_*
  change_dir,    // path b; x = 1: make it when missing. A directory outside the root is ENOENT
  parent_death,  // PR_SET_PDEATHSIG x; then checks that the parent still is the monitor
  exec,          // list a: candidate paths in order (ENOENT, ENOTDIR, EACCES go on); list b: argv; list c: envp
  exec_fd,       // execveat of slot; list b: argv; list c: envp
  count_,        // keep last
};

enum StepFlag : std::uint16_t {
  kMayFail = 1,  // an error is noted, not fatal
};

// Slots given by the monitor. -1 where there is none.
enum class Slot : std::int32_t {
  none = -1,
  stdin_ = 0,
  stdout_ = 1,
  stderr_ = 2,
  root = 3,  // the container's root mount (detached), from CreateContainer
  net = 4,   // namespaces of the sandbox
  ipc = 5,
  uts = 6,
  pid = 7,       // joined by the monitor itself around the clone
  shm = 8,       // the Pod's /dev/shm mount (detached)
  pts = 9,       // this container's devpts mount, with a tty
  console = 10,  // bind of the tty's slave, for /dev/console
  mnt = 11,      // execs: namespaces of the container
  cgroup = 12,
  user = 13,
  pause = 14,   // sealed memfd of the pause program
  volume = 16,  // kMaxImageVolumes images as volumes (detached mounts), from CreateContainer
  first_free = 32,
};
inline constexpr int kMaxImageVolumes = static_cast<int>(Slot::first_free) - static_cast<int>(Slot::volume);
inline constexpr int kSlots = 208;  // 40 volumes and every masked path fit

// As it travels: offsets into the blob behind the steps; 0 = none. The monitor checks each and turns it into Step.
struct WireStep {
  Op op{};
  std::uint16_t flags = 0;
  std::int32_t slot = -1;
  std::uint64_t x = 0, y = 0, z = 0, w = 0;
  std::uint32_t a = 0, b = 0, c = 0;  // offset of {u32 length, bytes}; texts end with a NUL that is not counted
  std::uint32_t a_count = 0, b_count = 0, c_count = 0;  // lists: that many NUL-ended strings one after another
};

// A program as it travels: this, `steps` WireSteps, `blob_bytes` of blob. Offsets count from the start of the blob,
// whose first four bytes are unused, so that 0 can mean "none".
struct ProgramHeader {
  std::uint32_t steps = 0;
  std::uint32_t blob_bytes = 0;
};
inline constexpr std::uint32_t kMaxProgramSteps = 4096;
inline constexpr std::uint32_t kMaxProgram = 8U << 20;  // an environment can be 2 MiB (execve(2)), filters are small

}  // namespace podshim
