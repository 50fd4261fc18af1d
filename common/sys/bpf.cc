#include "common/sys/bpf.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace podshim::sys {
namespace {

long bpf(int command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof attr); }

std::uint64_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

long load(const std::string& instructions, char* log, std::size_t log_size) {
  static const char kLicense[] = "Apache-2.0";
  bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = address(instructions.data());
  attr.insn_cnt = static_cast<std::uint32_t>(instructions.size() / sizeof(bpf_insn));
  attr.license = address(kLicense);
  attr.log_buf = log_size != 0 ? address(log) : 0;
  attr.log_size = static_cast<std::uint32_t>(log_size);
  attr.log_level = log_size != 0 ? 1 : 0;
  return bpf(BPF_PROG_LOAD, attr);
}

}  // namespace

Result<Fd> load_device_program(const std::string& instructions) {
  if (Fd program(static_cast<int>(load(instructions, nullptr, 0))); program) return program;
  Error error = Error::sys("bpf load", "device program");
  if (error.is(EINVAL) || error.is(EACCES)) {  // once more, only for the verifier's words
    std::string log(16384, '\0');
    Fd again(static_cast<int>(load(instructions, log.data(), log.size())));
    if (again) return again;
    log.resize(std::strlen(log.c_str()));
    error.detail = log.size() > 300 ? log.substr(log.size() - 300) : log;
  }
  return fail(std::move(error));
}

Result<> attach_device_program(const Fd& program, const Fd& cgroup) {
  bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.target_fd = static_cast<std::uint32_t>(cgroup.get());
  attr.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attr) != 0) return fail(Error::sys("bpf attach", "device program"));
  return {};
}

}  // namespace podshim::sys
