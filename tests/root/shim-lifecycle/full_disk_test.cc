// Records on a disk with 0 bytes free: what is there stays whole, what is bad is taken away all the same, nothing half
// made is left, and with room again the same calls succeed.
#include <sys/mount.h>
#include <unistd.h>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {
namespace {

class FullDisk : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    disk = dir + "/disk";
    sys::make_dir(disk).value();
    ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k"), 0) << strerror(errno);
  }
  void TearDown() override {
    EXPECT_EQ(::umount2(disk.c_str(), 0), 0) << strerror(errno);
    LifecycleTest::TearDown();
  }
  void fill() const {
    Fd fd = sys::open(disk + "/ballast", O_WRONLY | O_CREAT, 0600).value();
    const std::string block(4096, 'x');
    while (::write(fd.get(), block.data(), block.size()) > 0) {
    }
    ASSERT_EQ(errno, ENOSPC);
  }
  void make_room() const { sys::remove_file(disk + "/ballast").value(); }
  static state::SandboxRecord record(char digit) {
    return {.id = *SandboxId::parse(std::string(64, digit)),
            .spec = {.metadata = {.name = std::string(1, digit)}},
            .created = true};
  }
  std::string disk;
};

TEST_F(FullDisk, ARecordIsTheOldOneOrTheNewOne) {
  const auto journal = state::Journal::open(disk).value();
  const auto was = record('a');
  auto is = was;
  is.network.config = std::string(10'000, 'x');
  journal.write(was).value();
  fill();
  const auto written = journal.write(is), made = journal.write(record('b'));
  ASSERT_FALSE(written);
  EXPECT_TRUE(written.error().is(ENOSPC)) << written.error().text();
  EXPECT_FALSE(made);
  EXPECT_EQ(sys::list_dir(journal.dir(was.id)).value(), std::vector<std::string>{"record.json"});
  EXPECT_EQ(journal.read_all()->sandboxes, std::vector{was});
  journal.remove(record('b').id).value();
  EXPECT_FALSE(sys::exists(journal.dir(record('b').id)));
  make_room();
  journal.write(is).value();
  EXPECT_EQ(journal.read_all()->sandboxes, std::vector{is});
  fill();
  journal.remove(is.id).value();
  EXPECT_FALSE(sys::exists(journal.dir(is.id)));
}

TEST_F(FullDisk, ABadRecordIsSetAsideAndTold) {
  const auto journal = state::Journal::open(disk).value();
  const auto good = record('a'), bad = record('b');
  for (const auto& one : {good, bad}) journal.write(one).value();
  sys::write_file(journal.dir(bad.id) + "/record.json", "{", 0600).value();
  fill();
  const std::string name = "sandbox-" + bad.id.str();
  const auto now = journal.read_all().value();
  EXPECT_EQ(now.sandboxes, std::vector{good});
  ASSERT_EQ(now.newly_quarantined.size(), 1U);
  EXPECT_TRUE(now.newly_quarantined[0].starts_with(name + ": ")) << now.newly_quarantined[0];
  EXPECT_EQ(sys::list_dir(disk + "/quarantine").value(), std::vector<std::string>{name + ".json"})
      << "there is no room for the reason";
  make_room();
  const auto later = journal.read_all().value();
  EXPECT_EQ(later.sandboxes, std::vector{good});
  EXPECT_TRUE(later.newly_quarantined.empty());
  ASSERT_EQ(later.quarantined.size(), 1U);
  EXPECT_EQ(later.quarantined[0].name, name);
}

}  // namespace
}  // namespace podshim::lifecycle::test
