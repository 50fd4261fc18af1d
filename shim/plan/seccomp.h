// Seccomp: a choice of profile and the capabilities of the process -> a cBPF filter, ready for Op::seccomp.
//
// RuntimeDefault is a profile of our own: ERRNO(EPERM) by default, an allow-list, parts that a capability opens,
// clone without namespace flags, clone3 = ENOSYS (glibc falls back to clone). Localhost profiles have Docker's and
// OCI's JSON form. Syscall names that libseccomp does not know are skipped, as runc does. SeccompFilters caches
// compiled filters: a start with a known profile and capability set costs a map look-up.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/plan/spec.h"

namespace podshim {

struct SeccompArg {
  unsigned index = 0;
  std::uint64_t value = 0, value_two = 0;
  enum class Op { not_equal, less, less_equal, equal, greater_equal, greater, masked_equal } op = Op::equal;
  bool operator==(const SeccompArg&) const = default;
};

struct SeccompAction {
  enum class Type { allow, errno_, kill_thread, kill_process, trap, trace, log } type = Type::allow;
  std::uint32_t value = 0;  // errno_ and trace
  bool operator==(const SeccompAction&) const = default;
};

struct SeccompRule {
  std::vector<std::string> names;
  SeccompAction action;
  std::vector<SeccompArg> args;  // all must hold
  bool operator==(const SeccompRule&) const = default;
};

struct SeccompProfile {
  SeccompAction fallback;
  std::vector<std::string> architectures;  // libseccomp's lower-case names beside the native one
  std::vector<SeccompRule> rules;
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
  bool operator==(const SeccompProfile&) const = default;
};

// `capabilities`: the bounding set of the process; opens the conditional parts.
SeccompProfile default_seccomp_profile(std::uint64_t capabilities);
Result<SeccompProfile> parse_seccomp_profile(std::string_view json, std::uint64_t capabilities);

struct SeccompFilter {
  std::string program;      // struct sock_filter[]
  std::uint32_t flags = 0;  // of seccomp(2)
  bool operator==(const SeccompFilter&) const = default;
};
Result<SeccompFilter> compile_seccomp(const SeccompProfile& profile);

// Any thread.
class SeccompFilters {
 public:
  // nullptr: unconfined. `profile_text`: the JSON of a localhost profile, read by the caller.
  Result<std::shared_ptr<const SeccompFilter>> filter(const SeccompChoice& choice, std::string_view profile_text,
                                                      std::uint64_t capabilities);

 private:
  std::mutex mutex_;                                                   // guards cache_
  std::map<std::string, std::shared_ptr<const SeccompFilter>> cache_;  // at most kMaxCached
};

}  // namespace podshim
