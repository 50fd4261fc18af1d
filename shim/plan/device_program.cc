// The devices controller of v2 is a BPF program per cgroup (kernel: admin-guide/cgroup-v2, "Device controller").
#include <linux/bpf.h>

#include <cstring>
#include <vector>

#include "shim/plan/cgroup_v2.h"

namespace podshim {
namespace {

using Code = std::vector<bpf_insn>;

// Registers of the program: r1 is the context at entry and scratch afterwards.
constexpr std::uint8_t kType = BPF_REG_2, kAccess = BPF_REG_3, kMajor = BPF_REG_4, kMinor = BPF_REG_5;
constexpr std::uint8_t kScratch = BPF_REG_1;

bpf_insn insn(int code, std::uint8_t dst, std::uint8_t src = 0, std::int16_t off = 0, std::int32_t imm = 0) {
  bpf_insn out{};
  out.code = static_cast<std::uint8_t>(code);
  out.dst_reg = dst & 0xf;
  out.src_reg = src & 0xf;
  out.off = off;
  out.imm = imm;
  return out;
}

bpf_insn load(std::uint8_t dst, std::size_t offset) {
  return insn(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, static_cast<std::int16_t>(offset));
}

void add_return(Code& code, int value) {
  code.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value));
  code.push_back(insn(BPF_JMP | BPF_EXIT, 0));
}

std::int32_t access_mask(const std::string& access) {
  std::int32_t out = 0;
  for (char c : access) out |= c == 'm' ? BPF_DEVCG_ACC_MKNOD : c == 'r' ? BPF_DEVCG_ACC_READ : BPF_DEVCG_ACC_WRITE;
  return out;
}

// False when the rule has no condition: all that follows could not be reached, which the verifier refuses.
bool add_rule(Code& code, const DeviceRule& rule) {
  constexpr std::int32_t kAnyAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  Code body;
  std::vector<std::size_t> jumps;
  auto unless_equal = [&](std::uint8_t reg, std::int64_t value) {
    jumps.push_back(body.size());
    body.push_back(insn(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, static_cast<std::int32_t>(value)));
  };
  if (rule.type != 'a') unless_equal(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  if (const auto mask = access_mask(rule.access); mask != kAnyAccess) {
    // All that is asked for must be allowed: access & mask == access.
    body.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_X, kScratch, kAccess));
    body.push_back(insn(BPF_ALU64 | BPF_AND | BPF_K, kScratch, 0, 0, mask));
    jumps.push_back(body.size());
    body.push_back(insn(BPF_JMP | BPF_JNE | BPF_X, kScratch, kAccess));
  }
  if (rule.major >= 0) unless_equal(kMajor, rule.major);
  if (rule.minor >= 0) unless_equal(kMinor, rule.minor);
  add_return(body, 1);
  for (auto at : jumps) body[at].off = static_cast<std::int16_t>(body.size() - at - 1);
  code.insert(code.end(), body.begin(), body.end());
  return !jumps.empty();
}

std::string print_insn(const bpf_insn& i) {
  const std::string dst = "r" + std::to_string(i.dst_reg), src = "r" + std::to_string(i.src_reg);
  const std::string imm = std::to_string(i.imm);
  switch (i.code) {
    case BPF_LDX | BPF_MEM | BPF_W:
      return dst + " = u32 " + src + "[" + std::to_string(i.off) + "]";
    case BPF_ALU64 | BPF_MOV | BPF_K:
      return dst + " = " + imm;
    case BPF_ALU64 | BPF_MOV | BPF_X:
      return dst + " = " + src;
    case BPF_ALU64 | BPF_AND | BPF_K:
      return dst + " &= " + imm;
    case BPF_ALU64 | BPF_RSH | BPF_K:
      return dst + " >>= " + imm;
    case BPF_JMP | BPF_JNE | BPF_K:
      return "if " + dst + " != " + imm + " skip " + std::to_string(i.off);
    case BPF_JMP | BPF_JNE | BPF_X:
      return "if " + dst + " != " + src + " skip " + std::to_string(i.off);
    case BPF_JMP | BPF_EXIT:
      return "exit";
    default:
      return "code " + std::to_string(i.code);
  }
}

}  // namespace

std::string device_program(const std::vector<DeviceRule>& rules) {
  Code code = {
      load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)), insn(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kType),
      insn(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0, 0xffff), insn(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 0, 16),
      load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),      load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor))};
  bool open_end = true;
  for (const auto& rule : rules)
    if (open_end) open_end = add_rule(code, rule);
  if (open_end) add_return(code, 0);
  return {reinterpret_cast<const char*>(code.data()), code.size() * sizeof(bpf_insn)};
}

std::string print_device_program(const std::string& program) {
  std::string out;
  for (std::size_t at = 0; at + sizeof(bpf_insn) <= program.size(); at += sizeof(bpf_insn)) {
    bpf_insn one;
    std::memcpy(&one, program.data() + at, sizeof one);
    out += "  " + print_insn(one) + "\n";
  }
  return out;
}

}  // namespace podshim
