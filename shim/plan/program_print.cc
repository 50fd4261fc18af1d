// How a Program reads, whole, or one step for an error: that goes to logs and clients, is short, and has no word of the
// program's arguments, environment and filter. One function per group of ops; kernel flags by the names of mount(8),
// setns(2), getrlimit(2).
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "common/shorten.h"
#include "shim/plan/program.h"

namespace podshim {
namespace {

constexpr std::size_t kMostOfStep = 1024;

struct Name {
  std::uint64_t value;
  const char* name;
};

constexpr Name kNamespaces[] = {{CLONE_NEWNS, "mnt"},       {CLONE_NEWNET, "net"}, {CLONE_NEWIPC, "ipc"},
                                {CLONE_NEWUTS, "uts"},      {CLONE_NEWPID, "pid"}, {CLONE_NEWUSER, "user"},
                                {CLONE_NEWCGROUP, "cgroup"}};
constexpr Name kAttributes[] = {{MOUNT_ATTR_RDONLY, "ro"},
                                {MOUNT_ATTR_NOSUID, "nosuid"},
                                {MOUNT_ATTR_NODEV, "nodev"},
                                {MOUNT_ATTR_NOEXEC, "noexec"},
                                {MOUNT_ATTR_NOATIME, "noatime"},
                                {MOUNT_ATTR_STRICTATIME, "strictatime"},
                                {MOUNT_ATTR_NODIRATIME, "nodiratime"}};
constexpr Name kPropagation[] = {{MS_REC, "rec"},
                                 {MS_PRIVATE, "private"},
                                 {MS_SLAVE, "slave"},
                                 {MS_SHARED, "shared"},
                                 {MS_UNBINDABLE, "unbindable"}};
constexpr Name kSeccompFlags[] = {{1, "tsync"}, {2, "log"}, {4, "spec_allow"}, {8, "new_listener"}};
constexpr const char* kLimits[] = {"cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
                                   "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
constexpr const char* kSlotNames[] = {"stdin", "stdout", "stderr",  "root", "net",    "ipc",  "uts",  "pid",
                                      "shm",   "pts",    "console", "mnt",  "cgroup", "user", "pause"};

std::string number(const char* format, unsigned long long value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

template <std::size_t N>
std::string flags(const Name (&names)[N], std::uint64_t value) {
  std::string out;
  auto add = [&](const std::string& word) { out += (out.empty() ? "" : "|") + word; };
  for (const auto& n : names)
    if ((value & n.value) != 0) {
      add(n.name);
      value &= ~n.value;
    }
  if (value != 0) add(number("0x%llx", value));
  return out;
}

std::string slot(std::int64_t value) {
  if (value >= 0 && value < static_cast<std::int64_t>(std::size(kSlotNames))) return kSlotNames[value];
  return "slot " + std::to_string(value);
}

std::string optional(bool present, const std::string& text) { return present ? " " + text : ""; }
std::string bracket(const std::string& text) { return text.empty() ? "" : " [" + text + "]"; }
std::string recursive(std::uint64_t x) { return optional(x != 0, "[rec]"); }

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += number("\\x%02llx", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? " " : "") + quoted(item);
  return out + "]";
}

std::string groups(const std::string& blob) {
  std::string out = "[";
  for (std::size_t at = 0; at + sizeof(std::uint32_t) <= blob.size(); at += sizeof(std::uint32_t)) {
    std::uint32_t group;
    std::memcpy(&group, blob.data() + at, sizeof group);
    out += (at != 0 ? " " : "") + std::to_string(group);
  }
  return out + "]";
}

std::string hex(const std::string& blob) {
  std::string out;
  for (char c : blob) out += number("%02llx", static_cast<unsigned char>(c));
  return out;
}

std::string node(const ProgramStep& s) {
  const char* type = S_ISCHR(s.x) ? "c" : S_ISBLK(s.x) ? "b" : S_ISFIFO(s.x) ? "p" : "-";
  auto dev = static_cast<dev_t>(s.y);
  return "make_node " + s.b + " " + type + " " + std::to_string(major(dev)) + ":" + std::to_string(minor(dev)) + " " +
         number("%04llo", s.x & 07777) + " " + std::to_string(s.z) + ":" + std::to_string(s.w);
}

std::string limit(std::uint64_t value) { return value == RLIM_INFINITY ? "unlimited" : std::to_string(value); }

std::string print_mount(const ProgramStep& s) {
  switch (s.op) {
    case Op::open_tree:
      return "open_tree " + s.b + " -> " + slot(s.slot) + recursive(s.x);
    case Op::open_tree_at:
      return "open_tree_at " + s.b + " below " + slot(static_cast<std::int64_t>(s.y)) + " -> " + slot(s.slot) +
             recursive(s.x);
    case Op::new_mount:
      return "new_mount " + s.a + optional(!s.b.empty(), "(" + s.b + ")") + " -> " + slot(s.slot) +
             bracket(flags(kAttributes, s.x));
    case Op::mount_attr:
      return "mount_attr " + slot(s.slot) + optional(s.x != 0, "set=" + flags(kAttributes, s.x)) +
             optional(s.y != 0, "clear=" + flags(kAttributes, s.y)) +
             optional(s.z != 0, "propagation=" + flags(kPropagation, s.z)) + recursive(s.w);
    case Op::propagation:
      return "propagation / " + flags(kPropagation, s.x | MS_REC);
    case Op::attach_root:
      return "attach_root " + slot(s.slot) + " -> " + s.b;
    case Op::attach:
      return "attach " + slot(s.slot) + " -> " + s.b + optional(s.x != 0, "[keep]");
    case Op::make_dir:
      return "make_dir " + s.b + " " + number("%04llo", s.x);
    case Op::make_symlink:
      return "make_symlink " + s.b + " -> " + s.a;
    case Op::make_node:
      return node(s);
    case Op::mask_path:
      return "mask_path " + s.b;
    case Op::readonly_path:
      return "readonly_path " + s.b;
    case Op::readonly_root:
      return "readonly_root";
    case Op::enter_root:
      return "enter_root";
    default:
      return {};
  }
}

std::string print_seccomp(const ProgramStep& s, bool whole) {
  return "seccomp " + std::to_string(s.a.size() / 8) + " instructions" + bracket(flags(kSeccompFlags, s.x)) +
         optional(whole, hex(s.a));
}

std::string print_exec(const ProgramStep& s, bool whole) {
  const std::string program = s.op == Op::exec ? "exec " + list(s.la) : "exec_fd " + slot(s.slot);
  if (whole) return program + " argv=" + list(s.lb) + " env=" + list(s.lc);
  return shorten(program, kMostOfStep / 2) + " argv=" + std::to_string(s.lb.size()) +
         " words env=" + std::to_string(s.lc.size()) + " variables";
}

std::string print_process(const ProgramStep& s, bool whole) {
  switch (s.op) {
    case Op::new_session:
      return "new_session" + optional(s.x != 0, "[terminal]");
    case Op::rlimit:
      return "rlimit " + std::string(s.x < std::size(kLimits) ? kLimits[s.x] : "?") + " " + limit(s.y) + ":" +
             limit(s.z);
    case Op::umask:
      return "umask " + number("%04llo", s.x);
    case Op::no_dumpable:
      return "no_dumpable";
    case Op::bound_caps:
      return "bound_caps " + number("%016llx", s.x);
    case Op::set_groups:
      return "set_groups " + groups(s.a);
    case Op::set_gid:
      return "set_gid " + std::to_string(s.x);
    case Op::set_uid:
      return "set_uid " + std::to_string(s.x);
    case Op::set_caps:
      return "set_caps effective=" + number("%016llx", s.x) + " permitted=" + number("%016llx", s.y) +
             " inheritable=" + number("%016llx", s.z) + " ambient=" + number("%016llx", s.w);
    case Op::no_new_privs:
      return "no_new_privs";
    case Op::seccomp:
      return print_seccomp(s, whole);
    case Op::change_dir:
      return "change_dir " + s.b + optional(s.x != 0, "[make]");
    case Op::parent_death:
      return "parent_death " + std::to_string(s.x);
    case Op::exec:
    case Op::exec_fd:
      return print_exec(s, whole);
    default:
      return {};
  }
}

std::string print_one(const ProgramStep& s, bool whole) {
  std::string out;
  switch (s.op) {
    case Op::write_file:
      out = "write_file " + quoted(whole ? s.a : shorten(s.a, kMostOfStep / 4)) + " -> " + s.b;
      break;
    case Op::set_ns:
      out = "set_ns " + flags(kNamespaces, s.x) + " <- " + slot(s.slot);
      break;
    case Op::unshare:
      out = "unshare " + flags(kNamespaces, s.x);
      break;
    case Op::set_hostname:
      out = "set_hostname " + s.a;
      break;
    case Op::loopback_up:
      out = "loopback_up";
      break;
    default:
      out = print_mount(s);
      if (out.empty()) out = print_process(s, whole);
  }
  if (out.empty()) out = "op " + std::to_string(static_cast<int>(s.op));
  return out + optional((s.flags & kMayFail) != 0, "[may fail]");
}

}  // namespace

std::string Program::print() const {
  std::string out;
  for (const auto& step : steps) out += print_one(step, true) + "\n";
  return out;
}

std::string Program::print_step(std::size_t index) const {
  if (index >= steps.size()) return "step " + std::to_string(index) + " of " + std::to_string(steps.size());
  return shorten(print_one(steps[index], false), kMostOfStep);
}

}  // namespace podshim
