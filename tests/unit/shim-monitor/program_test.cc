// Programs on their way to the monitor: what arrives is what was sent, and hostile bytes are refused.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "shim/monitor/program_decode.h"
#include "shim/plan/program.h"

namespace podshim {
namespace {

Program sample() {
  Program p;
  p.add({.op = Op::write_file, .flags = kMayFail, .a = "0", .b = "/sys/fs/cgroup/x/tasks"});
  p.add({.op = Op::set_ns, .slot = 4, .x = CLONE_NEWNET});
  p.add({.op = Op::set_groups, .a = std::string("\1\0\0\0\2\0\0\0", 8)});
  p.add({.op = Op::open_tree_at, .slot = 20, .x = 1, .y = 21, .b = "/sub"});
  p.add({.op = Op::set_caps, .x = 1, .y = 2, .z = 3, .w = ~0UL});
  p.add({.op = Op::exec, .la = {"/a", "/b"}, .lb = {"a", "", "c"}, .lc = {"K=V"}});
  p.add({.op = Op::exec_fd, .slot = 14, .lb = {"pause"}});
  return p;
}

std::vector<std::string> strings(const char* const* list) {
  std::vector<std::string> out;
  for (; *list != nullptr; list++) out.push_back(*list);
  return out;
}

TEST(ProgramTest, DecodesToWhatWasEncoded) {
  Program program = sample();
  std::string bytes = program.encode();
  DecodedProgram decoded;
  auto result = decode_program(bytes, &decoded);
  ASSERT_TRUE(result) << result.error().text();
  ASSERT_EQ(decoded.steps.size(), program.steps.size());
  for (std::size_t i = 0; i < program.steps.size(); i++) {
    SCOPED_TRACE(i);
    const auto& want = program.steps[i];
    const auto& got = decoded.steps[i];
    EXPECT_EQ(got.op, want.op);
    EXPECT_EQ(got.flags, want.flags);
    EXPECT_EQ(got.slot, want.slot);
    EXPECT_EQ(got.x, want.x);
    EXPECT_EQ(got.y, want.y);
    EXPECT_EQ(got.z, want.z);
    EXPECT_EQ(got.w, want.w);
    EXPECT_EQ(std::string(got.a, got.a_length), want.a);
    EXPECT_EQ(std::string(got.b), want.b);
    if (got.la == nullptr) continue;
    EXPECT_EQ(strings(got.la), want.la);
    EXPECT_EQ(strings(got.lb), want.lb);
    EXPECT_EQ(strings(got.lc), want.lc);
  }
  EXPECT_TRUE(decoded.uses(Slot::net));
  EXPECT_TRUE(decoded.uses(Slot::pause));
  EXPECT_FALSE(decoded.uses(Slot::shm));
  EXPECT_TRUE(decoded.uses_slot[21]);
}

struct Hostile {
  const char* name;
  void (*spoil)(ProgramHeader& header, WireStep* steps, std::string& blob);
};

const Hostile kHostile[] = {
    {"no steps", [](ProgramHeader& h, WireStep*, std::string&) { h.steps = 0; }},
    {"too many steps", [](ProgramHeader& h, WireStep*, std::string&) { h.steps = kMaxProgramSteps + 1; }},
    {"steps beyond the bytes", [](ProgramHeader& h, WireStep*, std::string&) { h.steps = 4000; }},
    {"all steps there are", [](ProgramHeader& h, WireStep*, std::string&) { h.steps = ~0U; }},
    {"blob longer than the bytes", [](ProgramHeader& h, WireStep*, std::string&) { h.blob_bytes++; }},
    {"blob shorter than the bytes", [](ProgramHeader& h, WireStep*, std::string&) { h.blob_bytes--; }},
    {"blob size wraps", [](ProgramHeader& h, WireStep*, std::string&) { h.blob_bytes = ~0U; }},
    {"unknown op", [](ProgramHeader&, WireStep* s, std::string&) { s[0].op = Op::count_; }},
    {"op far out", [](ProgramHeader&, WireStep* s, std::string&) { s[0].op = static_cast<Op>(65535); }},
    {"slot too high", [](ProgramHeader&, WireStep* s, std::string&) { s[1].slot = kSlots; }},
    {"slot below none", [](ProgramHeader&, WireStep* s, std::string&) { s[1].slot = -2; }},
    {"base slot too high", [](ProgramHeader&, WireStep* s, std::string&) { s[3].y = ~0UL; }},
    {"offset at the end", [](ProgramHeader& h, WireStep* s, std::string&) { s[0].a = h.blob_bytes; }},
    {"offset just before the end", [](ProgramHeader& h, WireStep* s, std::string&) { s[0].a = h.blob_bytes - 3; }},
    {"offset wraps", [](ProgramHeader&, WireStep* s, std::string&) { s[0].a = ~0U; }},
    {"length beyond the blob", [](ProgramHeader&, WireStep* s, std::string& b) { std::memset(&b[s[0].a], 0xff, 4); }},
    {"length one too many", [](ProgramHeader&, WireStep* s, std::string& b) { b[s[6].b]++; }},
    {"text without its end", [](ProgramHeader&, WireStep* s, std::string& b) { b[s[0].a + 5] = 'x'; }},
    {"list count too high", [](ProgramHeader&, WireStep* s, std::string&) { s[5].b_count = 4; }},
    {"list count absurd", [](ProgramHeader&, WireStep* s, std::string&) { s[5].b_count = ~0U; }},
    {"list counts that add up to little",
     [](ProgramHeader&, WireStep* s, std::string&) { s[5].a_count = s[5].b_count = 1U << 31; }},
    {"list without a place", [](ProgramHeader&, WireStep* s, std::string&) { s[5].a = 0; }},
};

std::string spoiled(const Hostile& h) {
  std::string bytes = sample().encode();
  ProgramHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::vector<WireStep> steps(header.steps);
  std::memcpy(steps.data(), bytes.data() + sizeof header, steps.size() * sizeof(WireStep));
  std::string blob = bytes.substr(sizeof header + steps.size() * sizeof(WireStep));
  h.spoil(header, steps.data(), blob);
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(reinterpret_cast<const char*>(steps.data()), steps.size() * sizeof(WireStep));
  return out + blob;
}

TEST(ProgramTest, HostileBytesAreRefused) {
  for (const auto& h : kHostile) {
    DecodedProgram decoded;
    auto result = decode_program(spoiled(h), &decoded);
    EXPECT_FALSE(result) << h.name;
    if (!result) {
      EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument) << h.name;
    }
  }
}

TEST(ProgramTest, EveryPrefixIsRefused) {
  std::string bytes = sample().encode();
  for (std::size_t size = 0; size < bytes.size(); size++) {
    DecodedProgram decoded;
    // A copy of exactly that size: a sanitizer sees a read beyond it.
    std::vector<char> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(decode_program({prefix.data(), prefix.size()}, &decoded)) << size;
  }
}

// Whatever random damage lets pass must be safe to walk.
TEST(ProgramTest, RandomDamageIsRefusedOrHarmless) {
  std::mt19937 random(20240229);
  std::string bytes = sample().encode();
  for (int round = 0; round < 20000; round++) {
    std::vector<char> damaged(bytes.begin(), bytes.end());
    for (int n = 0; n < 3; n++) damaged[random() % damaged.size()] = static_cast<char>(random());
    DecodedProgram decoded;
    if (!decode_program({damaged.data(), damaged.size()}, &decoded)) continue;
    for (const auto& step : decoded.steps) {
      ASSERT_EQ(std::strlen(step.b), std::string_view(step.b).size());
      for (auto list : {step.la, step.lb, step.lc})
        for (; list != nullptr && *list != nullptr; list++) ASSERT_GE(std::strlen(*list), 0U);
    }
  }
}

TEST(ProgramTest, PrintsEveryOpByName) {
  for (int op = 0; op < static_cast<int>(Op::count_); op++) {
    Program p;
    p.add({.op = static_cast<Op>(op), .slot = 20});
    EXPECT_FALSE(p.print_step(0).starts_with("op ")) << op;
  }
}

TEST(ProgramTest, Prints) {
  Program p = sample();
  p.add({.op = Op::new_mount, .slot = 8, .x = 0x2 | 0x4, .a = "tmpfs", .b = "size=64k"});
  p.add({.op = Op::mount_attr, .slot = 20, .x = 1, .z = 1 << 19, .w = 1});
  p.add({.op = Op::make_node, .x = S_IFCHR | 0666, .y = 0x103, .b = "/dev/null"});
  p.add({.op = Op::rlimit, .x = 7, .y = 1024, .z = ~0UL});
  EXPECT_EQ(p.print(),
            "write_file \"0\" -> /sys/fs/cgroup/x/tasks [may fail]\n"
            "set_ns net <- net\n"
            "set_groups [1 2]\n"
            "open_tree_at /sub below slot 21 -> slot 20 [rec]\n"
            "set_caps effective=0000000000000001 permitted=0000000000000002 inheritable=0000000000000003 "
            "ambient=ffffffffffffffff\n"
            "exec [\"/a\" \"/b\"] argv=[\"a\" \"\" \"c\"] env=[\"K=V\"]\n"
            "exec_fd pause argv=[\"pause\"] env=[]\n"
            "new_mount tmpfs (size=64k) -> shm [nosuid|nodev]\n"
            "mount_attr slot 20 set=ro propagation=slave [rec]\n"
            "make_node /dev/null c 1:3 0666 0:0\n"
            "rlimit nofile 1024:unlimited\n");
  EXPECT_EQ(p.print_step(5), "exec [\"/a\" \"/b\"] argv=3 words env=1 variables");
  EXPECT_EQ(p.print_step(99), "step 99 of 11");
}

// It goes to logs and clients.
TEST(ProgramTest, AStepIsShortAndHasNoArguments) {
  const std::string huge(3'000'000, 'x');
  Program p;
  p.add({.op = Op::exec, .la = {"/bin/" + huge}, .lb = {"login", "--password=secret", huge}, .lc = {"TOKEN=secret"}});
  p.add({.op = Op::write_file, .a = huge, .b = "/proc/self/uid_map"});
  p.add({.op = Op::change_dir, .b = huge});
  const std::string exec = p.print_step(0);
  EXPECT_EQ(exec.find("secret"), std::string::npos) << exec;
  EXPECT_TRUE(exec.starts_with("exec [\"/bin/xxx")) << exec;
  EXPECT_TRUE(exec.ends_with("... (3000014 bytes) argv=3 words env=1 variables")) << exec;
  EXPECT_TRUE(p.print_step(1).ends_with("(3000000 bytes)\" -> /proc/self/uid_map")) << p.print_step(1);
  for (std::size_t i = 0; i < p.steps.size(); i++) EXPECT_LT(p.print_step(i).size(), 1100U) << i;
}

}  // namespace
}  // namespace podshim
