#include "shim/plan/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <set>

#include "common/fd.h"

namespace podshim {
namespace {

using Type = SeccompAction::Type;
using Code = std::vector<sock_filter>;
using Context = std::unique_ptr<void, decltype([](scmp_filter_ctx c) { seccomp_release(c); })>;

constexpr std::size_t kMaxCached = 64;

// System calls younger than Debian 12's libseccomp 2.5.4. From 424 on a number is the same on every architecture.
constexpr std::uint32_t kFirstNewer = 451;
constexpr std::array<std::pair<std::string_view, std::uint32_t>, 19> kNewer = {{{"cachestat", 451},
                                                                                {"fchmodat2", 452},
                                                                                {"map_shadow_stack", 453},
                                                                                {"futex_wake", 454},
                                                                                {"futex_wait", 455},
                                                                                {"futex_requeue", 456},
                                                                                {"statmount", 457},
                                                                                {"listmount", 458},
                                                                                {"lsm_get_self_attr", 459},
                                                                                {"lsm_set_self_attr", 460},
                                                                                {"lsm_list_modules", 461},
                                                                                {"mseal", 462},
                                                                                {"setxattrat", 463},
                                                                                {"getxattrat", 464},
                                                                                {"listxattrat", 465},
                                                                                {"removexattrat", 466},
                                                                                {"open_tree_attr", 467},
                                                                                {"file_getattr", 468},
                                                                                {"file_setattr", 469}}};

std::optional<std::uint32_t> newer_number(std::string_view name) {
  for (const auto& [known, number] : kNewer)
    if (known == name) return number;
  return std::nullopt;
}

std::uint32_t scmp_action(const SeccompAction& action) {
  switch (action.type) {
    case Type::allow:
      return SCMP_ACT_ALLOW;
    case Type::errno_:
      return SCMP_ACT_ERRNO(action.value);
    case Type::kill_thread:
      return SCMP_ACT_KILL_THREAD;
    case Type::kill_process:
      return SCMP_ACT_KILL_PROCESS;
    case Type::trap:
      return SCMP_ACT_TRAP;
    case Type::trace:
      return SCMP_ACT_TRACE(action.value);
    case Type::log:
      return SCMP_ACT_LOG;
  }
  return SCMP_ACT_KILL_PROCESS;
}

scmp_compare scmp_op(SeccompArg::Op op) {
  switch (op) {
    case SeccompArg::Op::not_equal:
      return SCMP_CMP_NE;
    case SeccompArg::Op::less:
      return SCMP_CMP_LT;
    case SeccompArg::Op::less_equal:
      return SCMP_CMP_LE;
    case SeccompArg::Op::equal:
      return SCMP_CMP_EQ;
    case SeccompArg::Op::greater_equal:
      return SCMP_CMP_GE;
    case SeccompArg::Op::greater:
      return SCMP_CMP_GT;
    case SeccompArg::Op::masked_equal:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

scmp_arg_cmp scmp_arg(const SeccompArg& arg) {
  return {.arg = arg.index, .op = scmp_op(arg.op), .datum_a = arg.value, .datum_b = arg.value_two};
}

Error seccomp_error(const char* op, std::string subject, int result) {
  return Error::sys(op, std::move(subject), {}, -result);
}

// Only what this CPU can run: a profile lists every architecture of the world.
void add_architectures(scmp_filter_ctx context, const std::vector<std::string>& names) {
#if defined(__x86_64__)
  constexpr std::array<std::string_view, 2> kRunnable = {"x86", "x32"};
#else
  constexpr std::array<std::string_view, 1> kRunnable = {"arm"};
#endif
  for (const auto& name : names)
    if (std::find(kRunnable.begin(), kRunnable.end(), name) != kRunnable.end())
      seccomp_arch_add(context, seccomp_arch_resolve_name(name.c_str()));  // -EEXIST: named twice
}

bool same_index_twice(const std::vector<SeccompArg>& args) {
  std::set<unsigned> seen;
  return std::any_of(args.begin(), args.end(), [&](const auto& a) { return !seen.insert(a.index).second; });
}

Result<> add_rule(scmp_filter_ctx context, const SeccompRule& rule, int number, const std::string& name) {
  std::vector<scmp_arg_cmp> args;
  for (const auto& arg : rule.args) args.push_back(scmp_arg(arg));
  const std::uint32_t action = scmp_action(rule.action);
  if (!same_index_twice(rule.args)) {
    int r = seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()), args.data());
    if (r < 0 && r != -EEXIST) return fail(seccomp_error("add seccomp rule", name, r));
    return {};
  }
  // libseccomp compares an argument once per rule; runc takes such lists as alternatives, and so do profiles.
  for (auto& arg : args)
    if (int r = seccomp_rule_add_array(context, action, number, 1, &arg); r < 0 && r != -EEXIST)
      return fail(seccomp_error("add seccomp rule", name, r));
  return {};
}

Result<> add_rules(scmp_filter_ctx context, const SeccompProfile& profile) {
  for (const auto& rule : profile.rules) {
    if (rule.action == profile.fallback) continue;  // says nothing new, and libseccomp refuses it
    for (const auto& name : rule.names) {
      int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;  // newer ones are in the prelude, unknown ones nowhere
      TRY(add_rule(context, rule, number, name));
    }
  }
  return {};
}

Result<Code> export_code(scmp_filter_ctx context) {
  Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail(Error::sys("memfd_create", "seccomp"));
  if (int r = seccomp_export_bpf(context, file.get()); r < 0)
    return fail(seccomp_error("compile seccomp", "profile", r));
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  Code out(static_cast<std::size_t>(std::max<off_t>(size, 0)) / sizeof(sock_filter));
  const auto bytes = static_cast<ssize_t>(out.size() * sizeof(sock_filter));
  if (::pread(file.get(), out.data(), static_cast<std::size_t>(bytes), 0) != bytes)
    return fail(Error::sys("read", "seccomp memfd"));
  return out;
}

sock_filter load(std::size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
sock_filter give(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter jump(int test, std::uint32_t value, std::size_t yes, std::size_t no) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, static_cast<std::uint8_t>(yes),
                  static_cast<std::uint8_t>(no));
}

bool is_strict(const SeccompAction& fallback) { return fallback.type != Type::allow && fallback.type != Type::log; }

// Tests on numbers that libseccomp does not know; a strict profile answers ENOSYS to all the rest of them, because
// programs fall back from a call that does not exist, not from one that is forbidden.
Code newer_calls(const SeccompProfile& profile) {
  Code out;
  std::set<std::uint32_t> seen;
  for (const auto& rule : profile.rules)
    for (const auto& name : rule.names)
      if (auto number = newer_number(name); number && rule.args.empty() && seen.insert(*number).second) {
        out.push_back(jump(BPF_JEQ, *number, 0, 1));
        out.push_back(give(scmp_action(rule.action)));
      }
  if (is_strict(profile.fallback)) out.push_back(give(SECCOMP_RET_ERRNO | ENOSYS));
  return out;
}

#if defined(__x86_64__)
// i386 has socket() also as socketcall(1, pointer), whose family no filter can see: where a profile looks at the
// family, this door is shut (one can knock at it from a 64-bit program too, by int 0x80).
Code socketcall_door(const SeccompProfile& profile) {
  constexpr std::uint32_t kSocketcall = 102, kSysSocket = 1;
  const bool watched = std::any_of(profile.rules.begin(), profile.rules.end(), [](const SeccompRule& r) {
    return !r.args.empty() && std::find(r.names.begin(), r.names.end(), "socket") != r.names.end();
  });
  if (!watched || !is_strict(profile.fallback)) return {};
  return {load(offsetof(seccomp_data, arch)), jump(BPF_JEQ, AUDIT_ARCH_I386, 0, 5), load(offsetof(seccomp_data, nr)),
          jump(BPF_JEQ, kSocketcall, 0, 3),   load(offsetof(seccomp_data, args)),   jump(BPF_JEQ, kSysSocket, 0, 1),
          give(scmp_action(profile.fallback))};
}
#endif

Code prelude(const SeccompProfile& profile) {
  Code out, newer = newer_calls(profile);
  const std::size_t n = newer.size();
#if defined(__x86_64__)
  out = socketcall_door(profile);
  constexpr std::uint32_t kX32 = 0x40000000;
  out.push_back(load(offsetof(seccomp_data, arch)));
  const auto& arches = profile.architectures;
  const bool i386 = std::find(arches.begin(), arches.end(), "x86") != arches.end();
  out.push_back(jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
  out.push_back(jump(BPF_JEQ, i386 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64, 0, n + 3));
  out.push_back(load(offsetof(seccomp_data, nr)));
  out.push_back(jump(BPF_JGE, kX32, n + 1, 0));
#else
  out.push_back(load(offsetof(seccomp_data, arch)));
  out.push_back(jump(BPF_JEQ, AUDIT_ARCH_AARCH64, 0, n + 2));
  out.push_back(load(offsetof(seccomp_data, nr)));
#endif
  out.push_back(jump(BPF_JGE, kFirstNewer, 0, n));
  out.insert(out.end(), newer.begin(), newer.end());
  return out;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const SeccompProfile& profile) {
  Context context(seccomp_init(scmp_action(profile.fallback)));
  if (!context) return fail(Error::of(ErrorKind::internal, "compile seccomp", "profile", "seccomp_init failed"));
  add_architectures(context.get(), profile.architectures);
  // Another instruction set is not there, rather than deadly. A binary tree instead of a chain: the kernel runs the
  // program once per system call number when it is installed.
  seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  TRY(add_rules(context.get(), profile));
  Code code = prelude(profile);
  Code main = TRY(export_code(context.get()));
  code.insert(code.end(), main.begin(), main.end());
  if (code.size() > BPF_MAXINSNS)
    return fail(
        Error::invalid("seccomp profile", "makes " + std::to_string(code.size()) + " instructions, 4096 at most"));
  return SeccompFilter{.program = {reinterpret_cast<const char*>(code.data()), code.size() * sizeof(sock_filter)},
                       .flags = profile.flags};
}

Result<std::shared_ptr<const SeccompFilter>> SeccompFilters::filter(const SeccompChoice& choice,
                                                                    std::string_view profile_text,
                                                                    std::uint64_t capabilities) {
  if (choice.type == SeccompChoice::Type::unconfined) return nullptr;
  const bool own = choice.type == SeccompChoice::Type::runtime_default;
  std::string key = (own ? "default " : "localhost ") + std::to_string(capabilities);
  if (!own) key += " " + std::string(profile_text);
  {
    std::lock_guard lock(mutex_);
    if (auto it = cache_.find(key); it != cache_.end()) return it->second;
  }
  auto profile = own ? default_seccomp_profile(capabilities)
                     : TRY_IN(parse_seccomp_profile(profile_text, capabilities), choice.localhost_ref);
  auto compiled =
      std::make_shared<const SeccompFilter>(TRY_IN(compile_seccomp(profile), "seccomp " + choice.localhost_ref));
  std::lock_guard lock(mutex_);
  if (cache_.size() >= kMaxCached) cache_.clear();  // a node has a handful; a flood of odd ones is not worth an LRU
  return cache_.emplace(std::move(key), std::move(compiled)).first->second;
}

}  // namespace podshim
