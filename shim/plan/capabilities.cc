#include "shim/plan/capabilities.h"

#include <linux/capability.h>

#include <array>

namespace podshim {
namespace {

// By number, as linux/capability.h has them (6.1 and 6.18: the same 41).
constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};
static_assert(CAP_NET_ADMIN == 12 && CAP_SYS_ADMIN == kCapSysAdmin && CAP_DAC_READ_SEARCH == kCapDacReadSearch);
static_assert(CAP_CHECKPOINT_RESTORE == 40 && CAP_LAST_CAP == 40);

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

constexpr std::uint64_t bit(int n) { return std::uint64_t{1} << n; }

// Every capability of the kernel, known by name or not.
std::uint64_t all_capabilities(const HostFacts& host) {
  return host.last_capability >= 63 ? ~std::uint64_t{0} : (bit(static_cast<int>(host.last_capability)) << 1) - 1;
}

bool is_all(std::string_view name) { return upper(name) == "ALL"; }

struct Names {
  bool all = false;
  std::uint64_t mask = 0;
};

Result<Names> parse_names(const std::vector<std::string>& names, const std::string& field) {
  Names out;
  for (std::size_t i = 0; i < names.size(); i++) {
    if (is_all(names[i])) {
      out.all = true;
      continue;
    }
    auto number = capability_number(names[i]);
    if (!number)
      return fail(Error::invalid(field + "[" + std::to_string(i) + "]", "\"" + names[i] + "\" is not a capability"));
    out.mask |= bit(*number);
  }
  return out;
}

}  // namespace

std::uint64_t default_capabilities() {
  return bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FSETID) | bit(CAP_FOWNER) | bit(CAP_MKNOD) |
         bit(CAP_NET_RAW) | bit(CAP_SETGID) | bit(CAP_SETUID) | bit(CAP_SETFCAP) | bit(CAP_SETPCAP) |
         bit(CAP_NET_BIND_SERVICE) | bit(CAP_SYS_CHROOT) | bit(CAP_KILL) | bit(CAP_AUDIT_WRITE);
}

std::optional<int> capability_number(std::string_view name) {
  std::string want = upper(name);
  std::string_view rest = want;
  if (rest.starts_with("CAP_")) rest.remove_prefix(4);
  for (std::size_t i = 0; i < kNames.size(); i++)
    if (kNames[i] == rest) return static_cast<int>(i);
  return std::nullopt;
}

std::string capability_name(int number) {
  if (number < 0 || static_cast<std::size_t>(number) >= kNames.size()) return "CAP_" + std::to_string(number);
  return "CAP_" + std::string(kNames[static_cast<std::size_t>(number)]);
}

std::string print_capabilities(std::uint64_t mask) {
  if (mask == 0) return "none";
  std::string out;
  for (int i = 0; i < 64; i++)
    if ((mask & bit(i)) != 0) out += (out.empty() ? "" : ",") + capability_name(i).substr(4);
  return out;
}

Result<CapabilityPlan> plan_capabilities(const Capabilities& request, bool privileged, const HostFacts& host,
                                         const std::string& field) {
  Names add = TRY(parse_names(request.add, field + ".add_capabilities"));
  Names drop = TRY(parse_names(request.drop, field + ".drop_capabilities"));
  const std::uint64_t all = all_capabilities(host);
  std::uint64_t want = default_capabilities();
  if (privileged) {
    want = all;  // as containerd: the lists do not count then
  } else {
    if (add.all) want = all;
    if (drop.all) want = 0;
    want = (want | add.mask) & ~drop.mask;
  }
  const std::uint64_t granted = want & host.capabilities;
  return CapabilityPlan{
      .bounding = granted, .effective = granted, .permitted = granted, .unavailable = want & all & ~host.capabilities};
}

}  // namespace podshim
