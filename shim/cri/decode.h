// Decode: CRI messages -> the specs of shim/plan. Everything that can be refused without looking at the host is refused
// here, with the path and the value of the field ("config.port_mappings[1].host_port: 70000 is not within 0..65535").
//
// Absent messages mean their zero value: an absent security_context is the image's user, default capabilities, seccomp
// unconfined and the Pod's namespaces; an absent filter matches all; an empty dns_config is none. What CRI has and this
// runtime does not do yet is unimplemented by name, never ignored, if ignoring it would run something else than asked:
// user namespaces, image volumes, id-mapped mounts, CDI devices, ambient capabilities, AppArmor profiles, stop signals.
// Ignored, because a host without them has nothing to do: SELinux labels, Windows, hugepage limits. Pure; any thread.
#pragma once

#include <string>

#include "common/result.h"
#include "runtime.pb.h"
#include "shim/plan/spec.h"

namespace podshim::cri {

namespace v1 = ::runtime::v1;

Result<SandboxSpec> decode_sandbox(const v1::RunPodSandboxRequest& request);
Result<ContainerSpec> decode_container(const v1::CreateContainerRequest& request);
Result<std::vector<std::string>> decode_command(const v1::ExecSyncRequest& request);

// "logs,cache" of the annotation podshim.dev/volumes: DNS labels, each once.
Result<std::vector<std::string>> decode_shared_volumes(const std::string& annotation);

inline constexpr char kVolumesAnnotation[] = "podshim.dev/volumes";
inline constexpr char kVolumePrefix[] = "volume:";

}  // namespace podshim::cri
