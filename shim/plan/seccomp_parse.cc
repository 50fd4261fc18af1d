// Profiles in Docker's and OCI's JSON form (runtime-spec config-linux.md, "seccomp"; Docker adds archMap, includes and
// excludes). Members unknown to us are left alone, as runc does: profiles are shared between runtimes.
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/json.h"
#include "shim/plan/capabilities.h"
#include "shim/plan/seccomp.h"

namespace podshim {
namespace {

using json::Reader;
using Type = SeccompAction::Type;
using Op = SeccompArg::Op;

#if defined(__x86_64__)
constexpr const char* kGoArch = "amd64";
constexpr const char* kOciArch = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
constexpr const char* kGoArch = "arm64";
constexpr const char* kOciArch = "SCMP_ARCH_AARCH64";
#else
#error "seccomp: name this architecture"
#endif

template <typename T, std::size_t N>
Result<T> choose(const Reader& r, std::string_view field, const std::array<std::pair<const char*, T>, N>& names) {
  const std::string text = TRY(r.string(field));
  for (const auto& [name, value] : names)
    if (text == name) return value;
  return fail(r.error(field, "\"" + text + "\" is not supported"));
}

Result<SeccompAction> parse_action(const Reader& r, std::string_view field, std::string_view errno_field,
                                   std::uint32_t default_errno) {
  static constexpr std::array<std::pair<const char*, Type>, 8> kActions = {
      {{"SCMP_ACT_ALLOW", Type::allow},
       {"SCMP_ACT_ERRNO", Type::errno_},
       {"SCMP_ACT_KILL", Type::kill_thread},
       {"SCMP_ACT_KILL_THREAD", Type::kill_thread},
       {"SCMP_ACT_KILL_PROCESS", Type::kill_process},
       {"SCMP_ACT_TRAP", Type::trap},
       {"SCMP_ACT_TRACE", Type::trace},
       {"SCMP_ACT_LOG", Type::log}}};
  SeccompAction out{.type = TRY(choose(r, field, kActions))};
  if (out.type == Type::errno_ || out.type == Type::trace)
    out.value = static_cast<std::uint32_t>(TRY(r.integer_or(errno_field, default_errno, 0, 4095)));
  return out;
}

Result<SeccompArg> parse_arg(const Reader& r) {
  static constexpr std::array<std::pair<const char*, Op>, 7> kOps = {{{"SCMP_CMP_NE", Op::not_equal},
                                                                      {"SCMP_CMP_LT", Op::less},
                                                                      {"SCMP_CMP_LE", Op::less_equal},
                                                                      {"SCMP_CMP_EQ", Op::equal},
                                                                      {"SCMP_CMP_GE", Op::greater_equal},
                                                                      {"SCMP_CMP_GT", Op::greater},
                                                                      {"SCMP_CMP_MASKED_EQ", Op::masked_equal}}};
  return SeccompArg{.index = static_cast<unsigned>(TRY(r.integer("index", 0, 5))),
                    .value = static_cast<std::uint64_t>(TRY(r.integer("value"))),
                    .value_two = static_cast<std::uint64_t>(TRY(r.integer_or("valueTwo", 0))),
                    .op = TRY(choose(r, "op", kOps))};
}

// Kernels before 6.1 are not supported at all, so only a newer minKernel can be missing.
bool kernel_is_certain(const std::string& version) {
  int major = 0, minor = 0;
  if (std::sscanf(version.c_str(), "%d.%d", &major, &minor) < 1) return false;
  return major < 6 || (major == 6 && minor <= 1);
}

struct Condition {
  bool any_cap = false, all_caps = true;  // of those listed
  bool listed_arch = false, has_arches = false, has_caps = false;
  bool kernel = true;
};

Result<std::optional<Condition>> parse_condition(const Reader& rule, std::string_view field,
                                                 std::uint64_t capabilities) {
  auto r = TRY(rule.opt_object(field));
  if (!r) return std::optional<Condition>();
  Condition out;
  for (const auto& name : TRY(r->strings("caps"))) {
    auto number = capability_number(name);
    const bool held = number && (capabilities >> *number & 1) != 0;
    out.has_caps = true;
    out.any_cap = out.any_cap || held;
    out.all_caps = out.all_caps && held;
  }
  for (const auto& arch : TRY(r->strings("arches"))) {
    out.has_arches = true;
    out.listed_arch = out.listed_arch || arch == kGoArch;
  }
  const std::string kernel = TRY(r->string_or("minKernel", ""));
  out.kernel = kernel.empty() || kernel_is_certain(kernel);
  return std::optional<Condition>(out);
}

Result<bool> applies(const Reader& rule, std::uint64_t capabilities) {
  if (auto in = TRY(parse_condition(rule, "includes", capabilities)))
    if ((in->has_arches && !in->listed_arch) || !in->all_caps || !in->kernel) return false;
  if (auto out = TRY(parse_condition(rule, "excludes", capabilities)))
    if (out->listed_arch || out->any_cap) return false;
  return true;
}

Result<std::optional<SeccompRule>> parse_rule(const Reader& r, std::uint64_t capabilities) {
  if (!TRY(applies(r, capabilities))) return std::optional<SeccompRule>();
  SeccompRule out;
  out.names = TRY(r.strings("names"));
  if (auto name = TRY(r.opt_string("name"))) out.names.push_back(*name);  // Docker's first form
  if (out.names.empty()) return fail(r.error("names", "is required"));
  out.action = TRY(parse_action(r, "action", "errnoRet", EPERM));
  for (const auto& arg : TRY(r.objects("args"))) out.args.push_back(TRY(parse_arg(arg)));
  return std::optional<SeccompRule>(std::move(out));
}

std::string lower_arch(const std::string& oci) {
  std::string out = oci.starts_with("SCMP_ARCH_") ? oci.substr(10) : oci;
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

Result<std::vector<std::string>> parse_architectures(const Reader& top) {
  std::vector<std::string> out;
  for (const auto& name : TRY(top.strings("architectures"))) out.push_back(lower_arch(name));
  for (const auto& entry : TRY(top.objects("archMap")))
    if (TRY(entry.string("architecture")) == kOciArch)
      for (const auto& name : TRY(entry.strings("subArchitectures"))) out.push_back(lower_arch(name));
  return out;
}

Result<std::uint32_t> parse_flags(const Reader& top) {
  std::uint32_t out = 0;
  for (const auto& name : TRY(top.strings("flags"))) {
    if (name == "SECCOMP_FILTER_FLAG_LOG") {
      out |= SECCOMP_FILTER_FLAG_LOG;
    } else if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
      out |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (name != "SECCOMP_FILTER_FLAG_TSYNC") {  // one thread at that point: nothing to synchronize
      return fail(top.error("flags", "\"" + name + "\" is not supported"));
    }
  }
  return out;
}

}  // namespace

Result<SeccompProfile> parse_seccomp_profile(std::string_view text, std::uint64_t capabilities) {
  auto value = TRY_IN(json::parse(text), "read seccomp profile");
  Reader top = TRY_IN(Reader::of(value), "read seccomp profile");
  auto parse = [&]() -> Result<SeccompProfile> {
    SeccompProfile out;
    out.fallback = TRY(parse_action(top, "defaultAction", "defaultErrnoRet", EPERM));
    out.architectures = TRY(parse_architectures(top));
    out.flags = TRY(parse_flags(top));
    for (const auto& rule : TRY(top.objects("syscalls")))
      if (auto parsed = TRY(parse_rule(rule, capabilities))) out.rules.push_back(std::move(*parsed));
    return out;
  };
  return TRY_IN(parse(), "read seccomp profile");
}

}  // namespace podshim
