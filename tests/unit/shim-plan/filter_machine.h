// Runs a compiled seccomp filter as the kernel does: classic BPF over struct seccomp_data (the subset libseccomp and we
// emit).
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace podshim::testing {

inline std::uint32_t run_filter(const std::string& program, const seccomp_data& data) {
  std::vector<sock_filter> code(program.size() / sizeof(sock_filter));
  std::memcpy(code.data(), program.data(), program.size());
  std::uint32_t a = 0, mem[16] = {};
  for (std::size_t pc = 0; pc < code.size(); pc++) {
    const auto& i = code[pc];
    bool yes = false;
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        continue;
      case BPF_LD | BPF_MEM:
        a = mem[i.k];
        continue;
      case BPF_ST:
        mem[i.k] = a;
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        continue;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        yes = a == i.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        yes = a > i.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        yes = a >= i.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        yes = (a & i.k) != 0;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        return 0xdeadbeef;
    }
    pc += yes ? i.jt : i.jf;
  }
  return 0xdeadbeef;
}

inline seccomp_data call(long number, std::array<std::uint64_t, 6> args = {}, std::uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data out{};
  out.nr = static_cast<int>(number);
  out.arch = arch;
  for (std::size_t i = 0; i < 6; i++) out.args[i] = args[i];
  return out;
}

inline std::uint32_t errno_action(int err) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(err); }

}  // namespace podshim::testing
