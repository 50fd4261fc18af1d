// Pulls that wait for others: for as long as somebody wants them, and no longer than they must.
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>

#include "pull_fixture.h"

namespace podshim::image::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Holds answers back until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    held_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  bool wait_held(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return held_ >= count; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int held_ = 0;
  bool open_ = false;
};

class PullWait : public Pull {
 protected:
  // The layer "b" of x:t does not come before the gate is opened.
  void SetUp() override {
    Pull::SetUp();
    hold_back(layer("b", 3'000'000));
  }
  void hold_back(const std::string& tar) {
    registry->twist([this, blob = "/blobs/" + Digest::of(tar).text()](const Asked& asked, Answer&) {
      if (asked.target.ends_with(blob)) gate.pass();
    });
  }
  void TearDown() override { gate.open(); }

  static std::future<Result<Image>> pull(Store& store, const std::string& name, const std::stop_token& given_up = {}) {
    return std::async(std::launch::async,
                      [&store, name, given_up] { return store->pull({.reference = name, .given_up = given_up}); });
  }
  // Until the pull of `name` has come to its layers, and had time to wait for another's.
  static bool settles(Store& store, const std::string& name) {
    for (int i = 0; i < 2000; i++) {
      for (const auto& p : store->pulls()) {
        if (p.reference != name || p.layers.empty()) continue;
        std::this_thread::sleep_for(milliseconds(50));
        return true;
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }
  static bool ends(std::future<Result<Image>>& call) { return call.wait_for(seconds(20)) == std::future_status::ready; }

  Gate gate;
};

TEST_F(PullWait, EndsWithItsClient) {
  auto store = open();
  std::stop_source first_client, joined_client, other_client;
  auto first = pull(store, "e.com/x:t", first_client.get_token());
  ASSERT_TRUE(gate.wait_held(1));
  auto joined = pull(store, "e.com/x:t", joined_client.get_token());
  auto waiting = pull(store, "f.com/y:t", other_client.get_token());  // another pull, which wants the same layers
  ASSERT_TRUE(settles(store, "f.com/y:t"));

  joined_client.request_stop();
  other_client.request_stop();
  first_client.request_stop();  // it fetches: that is for whoever asks next
  for (auto* call : {&joined, &waiting}) {
    const bool ended = ends(*call);
    if (!ended) gate.open();
    ASSERT_TRUE(ended) << "it waits for a pull that nobody can tell the end of";
    auto got = call->get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::cancelled) << got.error().text();
  }
  EXPECT_EQ(first.wait_for(seconds(0)), std::future_status::timeout);
  auto next = pull(store, "e.com/x:t");
  gate.open();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(next.get());
  EXPECT_EQ(store->list().at(0).repo_tags, std::vector<std::string>{"e.com/x:t"});
}

TEST_F(PullWait, GoesOnWhileOneClientIsLeft) {
  auto store = open();
  auto first = pull(store, "e.com/x:t");
  ASSERT_TRUE(gate.wait_held(1));
  std::stop_source gone;
  auto leader = pull(store, "f.com/y:t", gone.get_token());
  ASSERT_TRUE(settles(store, "f.com/y:t"));
  auto joined = pull(store, "f.com/y:t");
  std::this_thread::sleep_for(milliseconds(50));  // else it begins anew, which must work as well
  gone.request_stop();
  std::this_thread::sleep_for(milliseconds(50));
  gate.open();
  EXPECT_TRUE(joined.get());
  EXPECT_TRUE(first.get());
  (void)leader.get();
}

TEST_F(PullWait, LeavesItsPlaceToOthers) {
  add_image(tmp / "l", {.name = "x:z", .layers = {layer("z")}});
  auto store = open();
  std::vector<std::future<Result<Image>>> all;
  all.push_back(pull(store, "e.com/x:t"));
  ASSERT_TRUE(gate.wait_held(1));
  for (int i = 0; i < PullTable::kAtOnce + 2; i++) {
    const std::string name = "r" + std::to_string(i) + ".com/x:t";
    all.push_back(pull(store, name));
  }
  std::this_thread::sleep_for(milliseconds(300));  // for them to take all places they can get
  auto free = pull(store, "e.com/x:z");
  const bool ended = ends(free);
  gate.open();
  EXPECT_TRUE(ended) << "those that wait for a layer keep all places";
  EXPECT_TRUE(free.get());
  for (auto& call : all) EXPECT_TRUE(call.get());
}

TEST_F(PullWait, TakesALayerThatIsDoneFromAPullThatIsNot) {
  add_image(tmp / "l", {.name = "x:base", .layers = {layer("a")}});
  auto store = open();
  auto first = pull(store, "e.com/x:t");
  ASSERT_TRUE(gate.wait_held(1));
  auto unpacked = [&] {
    auto pulls = store->pulls();
    return !pulls.empty() && !pulls[0].layers.empty() && pulls[0].layers[0].stage == LayerStage::done;
  };
  for (int i = 0; i < 2000 && !unpacked(); i++) std::this_thread::sleep_for(milliseconds(10));
  ASSERT_TRUE(unpacked());
  std::this_thread::sleep_for(milliseconds(100));  // nobody wanted it when it was done
  auto late = pull(store, "e.com/x:base");
  const bool ended = ends(late);
  EXPECT_EQ(first.wait_for(seconds(0)), std::future_status::timeout);
  gate.open();
  EXPECT_TRUE(ended) << "its only layer is done, the rest of the other image is not its affair";
  EXPECT_TRUE(late.get());
  EXPECT_TRUE(first.get());
}

// One pull at work is no reason to keep what nobody wants: pulls may overlap for ever.
TEST_F(PullWait, GarbageIsCollectedMeanwhile) {
  add_image(tmp / "l", {.name = "x:gone", .layers = {layer("a"), layer("gone", 50'000)}});
  add_image(tmp / "l", {.name = "x:bad", .layers = {layer("half", 60'000), noise(5000, 1)}});
  auto store = open(own());
  auto gone = store->pull({.reference = name(":gone")});
  ASSERT_TRUE(gone) << gone.error().text();
  hold_back(layer("c"));
  auto at_work = pull(store, name(":t"));
  ASSERT_TRUE(gate.wait_held(1));
  auto unpacked = [&] {
    auto pulls = store->pulls();
    return pulls.size() == 1 && pulls[0].layers.size() == 3 && pulls[0].layers[1].stage == LayerStage::done;
  };
  for (int i = 0; i < 2000 && !unpacked(); i++) std::this_thread::sleep_for(milliseconds(10));
  ASSERT_TRUE(unpacked());

  auto blob_is_here = [&](const std::string& tar) {
    return sys::exists(tmp / ("images/blobs/sha256/" + Digest::of(tar).hex()));
  };
  auto layer_is_here = [&](const std::vector<std::string>& tars) {
    Digest chain;
    for (const auto& tar : tars) chain = chain_id(chain, Digest::of(tar));
    return sys::exists(tmp / ("images/layers/" + chain.hex().substr(0, 16) + "/layer.json"));
  };
  ASSERT_TRUE(store->remove(gone->id));
  EXPECT_FALSE(blob_is_here(layer("gone", 50'000)));
  EXPECT_FALSE(layer_is_here({layer("a"), layer("gone", 50'000)}));
  EXPECT_FALSE(store->pull({.reference = name(":bad")}));
  EXPECT_FALSE(blob_is_here(layer("half", 60'000)));
  EXPECT_TRUE(blob_is_here(layer("a"))) << "the pull at work has it from the image that went";
  EXPECT_TRUE(layer_is_here({layer("a")}));
  EXPECT_TRUE(blob_is_here(layer("b", 3'000'000))) << "it came, and no record names it yet";

  gate.open();
  auto got = at_work.get();
  ASSERT_TRUE(got) << got.error().text();
  ASSERT_TRUE(sys::make_dir(tmp / "container"));
  EXPECT_EQ(read_tree(fd_path(store->mount_readonly(*got, tmp / "container").value())).size(), 4u)
      << "a, b, c, the root";
}

}  // namespace
}  // namespace podshim::image::test
