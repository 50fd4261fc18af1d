// bpf(2), as far as the devices controller of cgroup v2 needs it. CAP_BPF or CAP_SYS_ADMIN; any thread.
#pragma once

#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

// BPF_PROG_TYPE_CGROUP_DEVICE; `instructions`: struct bpf_insn[]. A refusal has the verifier's last words in its
// detail.
Result<Fd> load_device_program(const std::string& instructions);
// BPF_CGROUP_DEVICE on the cgroup directory `cgroup`; beside what systemd may have there (BPF_F_ALLOW_MULTI).
Result<> attach_device_program(const Fd& program, const Fd& cgroup);

}  // namespace podshim::sys
