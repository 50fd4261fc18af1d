#include "shim/state/journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/sys/file.h"
#include "tests/unit/shim-state/samples.h"

namespace podshim::state {
namespace {

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-journal-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    journal_ = Journal::open(root_).value();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void spoil(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::trunc) << text; }

  std::string root_;
  std::optional<Journal> journal_;
};

TEST_F(JournalTest, WritesAndReadsBackByCreationTime) {
  auto late = samples::sandbox_record('a');
  auto early = samples::sandbox_record('b');
  early.spec.metadata.attempt = 9;
  early.created_at_ns = 1;
  ASSERT_TRUE(journal_->write(late));
  ASSERT_TRUE(journal_->write(early));
  ASSERT_TRUE(journal_->write(samples::container_record('c', 'a')));
  auto all = journal_->read_all().value();
  ASSERT_EQ(all.sandboxes.size(), 2U);
  EXPECT_EQ(all.sandboxes[0], early);
  EXPECT_EQ(all.sandboxes[1], late);
  ASSERT_EQ(all.containers.size(), 1U);
  EXPECT_EQ(all.containers[0], samples::container_record('c', 'a'));
  EXPECT_TRUE(all.quarantined.empty());
}

TEST_F(JournalTest, DebtsAreKeptUntilSettled) {
  auto record = samples::sandbox_record();
  ASSERT_TRUE(journal_->owe(record));
  const std::string debts = root_ + "/network-debts/";
  // Being written by another thread: no debt yet, and not to be taken away from under it.
  spoil(debts + record.id.str() + ".json.new-0011aabb", encode(record));
  spoil(debts + std::string(64, 'e') + ".json", "{");
  ASSERT_EQ(journal_->owed().size(), 1U);
  EXPECT_EQ(journal_->owed()[0], record);
  EXPECT_EQ(sys::list_dir(debts).value().size(), 2U);
  journal_ = Journal::open(root_).value();
  EXPECT_EQ(sys::list_dir(debts).value(), std::vector<std::string>{record.id.str() + ".json"});
  ASSERT_TRUE(journal_->settle(record.id));
  EXPECT_TRUE(journal_->owed().empty());
}

TEST_F(JournalTest, RewriteReplaces) {
  auto record = samples::sandbox_record();
  ASSERT_TRUE(journal_->write(record));
  record.ready = false;
  ASSERT_TRUE(journal_->write(record));
  auto all = journal_->read_all().value();
  ASSERT_EQ(all.sandboxes.size(), 1U);
  EXPECT_FALSE(all.sandboxes[0].ready);
}

TEST_F(JournalTest, RemoveTakesTheDirectoryAndIsIdempotent) {
  auto record = samples::container_record();
  ASSERT_TRUE(journal_->write(record));
  std::filesystem::create_directories(journal_->dir(record.id) + "/upper/etc");
  ASSERT_TRUE(journal_->remove(record.id));
  EXPECT_FALSE(sys::exists(journal_->dir(record.id)));
  EXPECT_TRUE(journal_->remove(record.id));
}

// Every single file damaged in each way: the rest is read, the bad one is told once and set aside for good.
TEST_F(JournalTest, BadRecordsAreSetAside) {
  struct Case {
    const char* name;
    std::string text;
  };
  std::string good = encode(samples::sandbox_record('b'));
  const Case cases[] = {{"empty", ""},
                        {"half", good.substr(0, good.size() / 2)},
                        {"zeroes", std::string(4096, '\0')},
                        {"other id", encode(samples::sandbox_record('d'))}};
  for (const auto& c : cases) {
    auto keep = samples::sandbox_record('a');
    keep.spec.metadata.name = "keep";
    ASSERT_TRUE(journal_->write(keep));
    ASSERT_TRUE(journal_->write(samples::sandbox_record('b')));
    std::string path = journal_->dir(samples::sandbox_id('b')) + "/record.json";
    spoil(path, c.text);
    auto all = journal_->read_all().value();
    ASSERT_EQ(all.sandboxes.size(), 1U) << c.name;
    EXPECT_EQ(all.sandboxes[0], keep) << c.name;
    ASSERT_EQ(all.newly_quarantined.size(), 1U) << c.name;
    ASSERT_EQ(all.quarantined.size(), 1U) << c.name;
    EXPECT_EQ(all.quarantined[0].name, "sandbox-" + std::string(64, 'b')) << c.name;
    EXPECT_FALSE(sys::exists(path)) << c.name;
    EXPECT_EQ(sys::read_file(root_ + "/quarantine/sandbox-" + std::string(64, 'b') + ".json").value(), c.text)
        << c.name;

    auto again = journal_->read_all().value();
    EXPECT_TRUE(again.newly_quarantined.empty()) << c.name;
    EXPECT_EQ(again.quarantined, all.quarantined) << c.name;  // still listed
  }
}

TEST_F(JournalTest, OfTwoWithOneNameTheLivingOneStays) {
  auto alive = samples::sandbox_record('a');
  auto dead = samples::sandbox_record('b');
  dead.ready = false;
  dead.created_at_ns = alive.created_at_ns + 1;
  ASSERT_TRUE(journal_->write(alive));
  ASSERT_TRUE(journal_->write(dead));
  auto all = journal_->read_all().value();
  ASSERT_EQ(all.sandboxes.size(), 1U);
  EXPECT_EQ(all.sandboxes[0].id, alive.id);
  EXPECT_NE(all.quarantined[0].reason.find("the same name as " + alive.id.str()), std::string::npos);
}

TEST_F(JournalTest, AContainerWithoutItsSandboxIsSetAside) {
  ASSERT_TRUE(journal_->write(samples::container_record('c', 'a')));
  auto all = journal_->read_all().value();
  EXPECT_TRUE(all.containers.empty());
  ASSERT_EQ(all.quarantined.size(), 1U);
  EXPECT_NE(all.quarantined[0].reason.find("its sandbox has no record"), std::string::npos);
}

TEST_F(JournalTest, ForeignFilesAndEmptyDirectoriesDoNotMatter) {
  spoil(root_ + "/sandboxes/README", "hello");
  std::filesystem::create_directories(root_ + "/sandboxes/" + std::string(64, 'f'));
  std::filesystem::create_directories(root_ + "/containers/x/record.json");  // a directory where a file belongs
  auto all = journal_->read_all();
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_TRUE(all->sandboxes.empty());
  EXPECT_EQ(all->newly_quarantined.size(), 1U);
}

}  // namespace
}  // namespace podshim::state
