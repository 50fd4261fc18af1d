// The BPF device program is run here by a small interpreter of the instructions it may use, over every rule and access.
#include <linux/bpf.h>

#include <cstring>

#include "shim/plan/cgroup_v2.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

struct Access {
  char type;
  std::uint32_t major, minor;
  std::uint32_t access;  // BPF_DEVCG_ACC_*
};

// 1 or 0 as the program says; -1 for an instruction it should not have or a run off the end.
int run(const std::string& program, const Access& a) {
  const std::uint32_t context[3] = {a.access << 16 | (a.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
                                    a.major, a.minor};
  std::uint64_t r[11] = {};
  const std::size_t n = program.size() / sizeof(bpf_insn);
  for (std::size_t pc = 0; pc < n; pc++) {
    bpf_insn i;
    std::memcpy(&i, program.data() + pc * sizeof i, sizeof i);
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        r[i.dst_reg] = context[i.off / 4];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        r[i.dst_reg] = static_cast<std::uint64_t>(std::int64_t{i.imm});
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        r[i.dst_reg] = r[i.src_reg];
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        r[i.dst_reg] &= static_cast<std::uint64_t>(std::int64_t{i.imm});
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        r[i.dst_reg] >>= i.imm;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        pc += r[i.dst_reg] != static_cast<std::uint64_t>(std::int64_t{i.imm}) ? i.off : 0;
        break;
      case BPF_JMP | BPF_JNE | BPF_X:
        pc += r[i.dst_reg] != r[i.src_reg] ? i.off : 0;
        break;
      case BPF_JMP | BPF_EXIT:
        return static_cast<int>(r[0]);
      default:
        return -1;
    }
  }
  return -1;
}

constexpr std::uint32_t kMknod = BPF_DEVCG_ACC_MKNOD, kRead = BPF_DEVCG_ACC_READ, kWrite = BPF_DEVCG_ACC_WRITE;

TEST(DeviceProgram, StandardRules) {
  const auto program = device_program(plan_devices({}, false).rules);
  struct Case {
    const char* name;
    Access access;
    int want;
  } cases[] = {
      {"null rw", {'c', 1, 3, kRead | kWrite}, 1},
      {"null as a block device", {'b', 1, 3, kRead}, 0},
      {"mem", {'c', 1, 1, kRead}, 0},
      {"mknod of anything", {'c', 250, 7, kMknod}, 1},
      {"mknod of a disk", {'b', 8, 0, kMknod}, 1},
      {"mknod and read of a disk", {'b', 8, 0, kMknod | kRead}, 0},
      {"read of a disk", {'b', 8, 0, kRead}, 0},
      {"any pty", {'c', 136, 77, kRead | kWrite}, 1},
      {"console", {'c', 5, 1, kWrite}, 1},
      {"fuse", {'c', 10, 229, kRead}, 0},
  };
  for (const auto& c : cases)
    EXPECT_EQ(run(program, c.access), c.want) << c.name << "\n" << print_device_program(program);
}

// The program agrees with a plain reading of the rules, for all accesses to a grid of devices.
TEST(DeviceProgram, AgreesWithTheRules) {
  const std::vector<DeviceRule> rules = {{.type = 'b', .major = 8, .access = "r"},
                                         {.type = 'c', .major = 10, .minor = 200, .access = "rw"},
                                         {.type = 'c', .minor = 3, .access = "m"}};
  const auto program = device_program(rules);
  auto allowed = [&](const Access& a) {
    for (const auto& rule : rules) {
      std::uint32_t mask = 0;
      for (char c : rule.access) mask |= c == 'm' ? kMknod : c == 'r' ? kRead : kWrite;
      if (rule.type == a.type && (rule.major < 0 || rule.major == a.major) &&
          (rule.minor < 0 || rule.minor == a.minor) && (a.access & ~mask) == 0)
        return 1;
    }
    return 0;
  };
  int seen = 0;
  for (char type : {'b', 'c'})
    for (std::uint32_t major : {1U, 8U, 10U})
      for (std::uint32_t minor : {0U, 3U, 200U})
        for (std::uint32_t access = 1; access < 8; access++) {
          const Access a{type, major, minor, access};
          EXPECT_EQ(run(program, a), allowed(a)) << type << major << ":" << minor << " " << access;
          seen += allowed(a);
        }
  EXPECT_EQ(seen, 9);
}

TEST(DeviceProgram, EmptyAndOpenEnds) {
  EXPECT_EQ(run(device_program({}), {'c', 1, 3, kRead}), 0);
  const auto all = device_program({{.type = 'a'}, {.type = 'c', .major = 1}});
  EXPECT_EQ(run(all, {'b', 8, 0, kRead | kWrite | kMknod}), 1);
  // Nothing after an unconditional end: the verifier refuses what cannot be reached.
  EXPECT_TRUE(print_device_program(all).ends_with("r0 = 1\n  exit\n"));
}

}  // namespace
}  // namespace podshim::testing
