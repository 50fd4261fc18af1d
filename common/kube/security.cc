#include <algorithm>

#include "common/kube/choice.h"
#include "common/kube/pod.h"

namespace podshim::kube {
namespace {

constexpr std::int64_t kMaxId = INT32_MAX;  // as the API server checks runAsUser and its kin

Result<SeccompProfile> decode_seccomp(const json::Reader& r, Unknowns& unknowns) {
  static constexpr Choice<SeccompProfile::Type> kTypes[] = {{"Unconfined", SeccompProfile::Type::unconfined},
                                                            {"RuntimeDefault", SeccompProfile::Type::runtime_default},
                                                            {"Localhost", SeccompProfile::Type::localhost}};
  SeccompProfile out;
  if (!r.has("type")) return fail(r.error("type", "is missing"));
  out.type = TRY(choose(r, "type", kTypes));
  out.localhost_profile = TRY(r.string_or("localhostProfile", ""));
  if ((out.type == SeccompProfile::Type::localhost) == out.localhost_profile.empty())
    return fail(r.error("localhostProfile", "goes with type Localhost, and with it alone"));
  note_unknown(r, unknowns);
  return out;
}

Result<> decode_container_part(const json::Reader& r, SecurityContext& s, Unknowns& unknowns) {
  s.privileged = TRY(r.opt_boolean("privileged"));
  s.read_only_root_filesystem = TRY(r.opt_boolean("readOnlyRootFilesystem"));
  s.allow_privilege_escalation = TRY(r.opt_boolean("allowPrivilegeEscalation"));
  if (auto caps = TRY(r.opt_object("capabilities"))) {
    s.capabilities_add = TRY(caps->strings("add"));
    s.capabilities_drop = TRY(caps->strings("drop"));
    note_unknown(*caps, unknowns);
  }
  if (s.allow_privilege_escalation == false && s.privileged == true)
    return fail(r.error("allowPrivilegeEscalation", "cannot be false in a privileged container"));
  if (s.allow_privilege_escalation == false && std::ranges::find_if(s.capabilities_add, [](const auto& c) {
                                                 return c == "SYS_ADMIN" || c == "CAP_SYS_ADMIN";
                                               }) != s.capabilities_add.end())
    return fail(r.error("allowPrivilegeEscalation", "cannot be false with the capability SYS_ADMIN"));
  return {};
}

Result<> decode_pod_part(const json::Reader& r, SecurityContext& s, Unknowns& unknowns) {
  if (const auto* groups = r.get("supplementalGroups")) {
    if (!groups->is_array()) return fail(r.error("supplementalGroups", "is not a list"));
    for (const auto& g : groups->as_array()) {
      if (!g.is_integer() || g.as_integer() < 0 || g.as_integer() > kMaxId)
        return fail(r.error("supplementalGroups", json::dump(g) + " is not a group id"));
      s.supplemental_groups.push_back(g.as_integer());
    }
  }
  s.fs_group = TRY(r.opt_integer("fsGroup", 0, kMaxId));
  for (const auto& one : TRY(r.objects("sysctls"))) {
    auto name = TRY(one.string("name"));
    s.sysctls[name] = TRY(one.string("value"));
    note_unknown(one, unknowns);
  }
  return {};
}

}  // namespace

Result<SecurityContext> decode_security(const json::Reader& r, bool of_pod, Unknowns& unknowns) {
  SecurityContext s;
  s.run_as_user = TRY(r.opt_integer("runAsUser", 0, kMaxId));
  s.run_as_group = TRY(r.opt_integer("runAsGroup", 0, kMaxId));
  s.run_as_non_root = TRY(r.opt_boolean("runAsNonRoot"));
  if (auto profile = TRY(r.opt_object("seccompProfile"))) s.seccomp = TRY(decode_seccomp(*profile, unknowns));
  if (of_pod) {
    TRY(decode_pod_part(r, s, unknowns));
  } else {
    TRY(decode_container_part(r, s, unknowns));
  }
  note_unknown(r, unknowns);
  return s;
}

SecurityContext merge_security(const SecurityContext& pod, const SecurityContext& container) {
  SecurityContext out = container;
  if (!out.run_as_user) out.run_as_user = pod.run_as_user;
  if (!out.run_as_group) out.run_as_group = pod.run_as_group;
  if (!out.run_as_non_root) out.run_as_non_root = pod.run_as_non_root;
  if (!out.seccomp) out.seccomp = pod.seccomp;
  out.supplemental_groups = pod.supplemental_groups;
  out.fs_group = pod.fs_group;
  out.sysctls = pod.sysctls;
  return out;
}

}  // namespace podshim::kube
