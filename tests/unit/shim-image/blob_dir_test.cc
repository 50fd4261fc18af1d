// What BlobDir counts while blobs come and go.
#include "shim/image/blob_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "common/sys/file.h"

namespace podshim::image {
namespace {

class Blobs : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/podshim-blobs-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    tmp = pattern;
    ASSERT_TRUE(sys::make_dir(tmp + "/scratch"));
    auto opened = BlobDir::open(tmp + "/blobs", tmp + "/scratch");
    ASSERT_TRUE(opened) << opened.error().text();
    blobs = *std::move(opened);
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(tmp)); }
  std::string file(const std::string& name, const std::string& text) {
    EXPECT_TRUE(sys::write_file(tmp + "/scratch/" + name, text, 0600));
    return tmp + "/scratch/" + name;
  }
  std::pair<std::uint64_t, std::uint64_t> counted() const { return {blobs->usage().files, blobs->usage().bytes}; }

  std::string tmp;
  std::optional<BlobDir> blobs;
};

TEST_F(Blobs, AreCountedOnceHoweverTheyCome) {
  const std::string one(5000, '1'), two(9000, '2'), three(20000, '3');
  const Digest a = Digest::of(one), b = Digest::of(two), c = Digest::of(three);
  for (int round = 0; round < 2; round++) {
    ASSERT_TRUE(blobs->put(a, one));
    ASSERT_TRUE(blobs->link(b, file("two", two)));
    ASSERT_TRUE(blobs->adopt(c, file("three", three)));
    EXPECT_EQ(blobs->usage().files, 3u);
  }
  ASSERT_TRUE(sys::write_file(blobs->path(a), std::string(one.size(), 'x'), 0600));
  ASSERT_TRUE(blobs->put(a, one));
  const auto before = counted();
  EXPECT_GE(before.second, one.size() + two.size() + three.size());
  ASSERT_TRUE(blobs->keep_only({a, b, c}));
  EXPECT_EQ(counted(), before) << "as a look at the disk says";
  ASSERT_TRUE(blobs->keep_only({}));
  EXPECT_EQ(counted(), std::pair(0UL, 0UL));
}

TEST_F(Blobs, AreCountedOnceWhileOthersAreCollected) {
  constexpr int kBlobs = 400;
  std::vector<Digest> digests;
  std::set<Digest> keep;
  for (int i = 0; i < kBlobs; i++) {
    const std::string text = "blob " + std::to_string(i);
    digests.push_back(Digest::of(text));
    keep.insert(digests.back());
    file(std::to_string(i), text);
  }
  std::atomic<int> adopted = 0;
  std::thread collector([&] {
    for (int seen = 0; seen < kBlobs;) {
      EXPECT_TRUE(blobs->keep_only(keep));
      adopted.wait(seen);  // a mutex is not fair: who takes it back at once can keep the other out for minutes
      seen = adopted;
    }
  });
  for (int i = 0; i < kBlobs; i++) {
    EXPECT_TRUE(blobs->adopt(digests[static_cast<std::size_t>(i)], tmp + "/scratch/" + std::to_string(i)));
    adopted++;
    adopted.notify_one();
  }
  collector.join();
  const auto after = counted();
  EXPECT_EQ(after.first, static_cast<std::uint64_t>(kBlobs));
  ASSERT_TRUE(blobs->keep_only(keep));
  EXPECT_EQ(counted(), after);
}

}  // namespace
}  // namespace podshim::image
