// Pulls over connections that break or stall.
#include <chrono>
#include <map>
#include <mutex>

#include "pull_fixture.h"

namespace podshim::image::test {
namespace {

TEST_F(Pull, BrokenConnectionsGoOn) {
  struct Case {
    const char* name;
    TestRegistry::Twist twist;
    std::size_t least_ranges;
  };
  auto times = std::make_shared<std::map<std::string, int>>();
  auto lock = std::make_shared<std::mutex>();
  auto nth = [times, lock](const Asked& a) {
    std::lock_guard guard(*lock);
    return (*times)[a.target]++;
  };
  const Case cases[] = {
      {"503 twice",
       [nth](const Asked& a, Answer& r) {
         if (nth(a) < 2) r = {.status = 503};
       },
       0},
      {"429 once, with a time",
       [nth](const Asked& a, Answer& r) {
         if (nth(a) < 1) r = {.status = 429, .headers = {{"Retry-After", "0"}}};
       },
       0},
      {"cut after 700 kB, ranges",
       [nth](const Asked& a, Answer& r) {
         if (a.is_blob() && nth(a) < 3) r.cut = 700'000;
       },
       3},
      {"cut, without ranges",
       [nth](const Asked& a, Answer& r) {
         r.ranges = false;
         if (a.is_blob() && nth(a) < 2) r.cut = 700'000 + 800'000 * static_cast<std::size_t>(nth(a) > 1);
       },
       1},
      {"closed before a byte",
       [nth](const Asked& a, Answer& r) {
         if (nth(a) < 1) r.cut = 0;
       },
       0},
      {"no length, the end closes", [](const Asked&, Answer& r) { r.length = -2; }, 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    times->clear();
    registry->twist(c.twist);
    registry->forget();
    auto store = open(own());
    auto got = store->pull({.reference = name()});
    ASSERT_TRUE(got) << got.error().text();
    EXPECT_GE(registry->count([](const Asked& a) { return !a.header("range").empty(); }), c.least_ranges);
    ASSERT_TRUE(store->remove(got->id));
    store->wait_for_trash();
    expect_nothing_left(*store);
  }
}

TEST_F(Pull, ATrickleEndsIt) {
  registry->twist([](const Asked& asked, Answer& answer) {
    if (asked.is_blob() && answer.body.size() > 1'000'000) answer.pause_ms = 300, answer.piece = 1;
  });
  auto store = open(own(), {.pull = {.stall = std::chrono::seconds(1)}, .retry = {.attempts = 2}});
  auto since = std::chrono::steady_clock::now();
  expect_failure(*store, name(), ErrorKind::unavailable, "too slow");
  EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(15));
}

TEST_F(Pull, AStalledMirrorIsLeftForTheNext) {
  TestRegistry slow(tmp / "l");
  slow.twist([](const Asked& asked, Answer& answer) {
    if (asked.is_blob() && answer.body.size() > 1'000'000) answer.pause_ms = 300, answer.piece = 100;
  });
  auto store = open("mirrors: {\"*\": {endpoint: [\"" + slow.url() + "\", \"" + registry->url() + "\"]}}",
                    {.pull = {.stall = std::chrono::seconds(1)}});
  auto since = std::chrono::steady_clock::now();
  auto got = store->pull({.reference = "e.com/x:t"});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(8));
  EXPECT_EQ(registry->count([](const Asked& a) { return !a.header("range").empty(); }), 1u)
      << "it goes on where that was";
}

// `tar`, as long as `body`.
std::string like(const std::string& body, const std::string& tar) { return tar + noise(body.size() - tar.size(), 7); }

// What a mirror does to the one big layer, and what comes of it when the registry itself is honest.
TEST_F(Pull, AWrongLayerIsFetchedFromTheNextEndpoint) {
  struct Case {
    const char* name;
    TestRegistry::Twist twist;
    bool whole;  // the next endpoint has to send all of it
  };
  const std::string good = gzip(layer("b", 3'000'000));
  add_image(tmp / "l", {.name = "x:gz",
                        .layers = {layer("a"), good},
                        .diff_ids = {Digest::of(layer("a")).text(), Digest::of(layer("b", 3'000'000)).text()}});
  auto big = [](const Asked& a, const Answer& r) { return a.is_blob() && r.body.size() > 1'000'000; };
  const Case cases[] = {
      {"a flipped bit near the end",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body[r.body.size() - 1000] ^= 1;
       },
       true},
      {"a flipped bit at the start, seen while it is inflated",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body[20] ^= 1;
       },
       true},
      {"other bytes of the same size",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body = noise(r.body.size(), 7);
       },
       true},
      {"an attribute that is too long, which the kernel refuses by E2BIG",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body = like(r.body, make_tar({{.path = "f", .xattrs = {{"user.k", noise(70'000, 7)}}}}));
       },
       true},
      {"an attribute's name that is too long, by ERANGE",
       [big](const Asked& a, Answer& r) {
         if (big(a, r))
           r.body = like(r.body, make_tar({{.path = "f", .xattrs = {{"user." + std::string(300, 'x'), "v"}}}}));
       },
       true},
      {"a flipped bit, then it breaks off",
       [big](const Asked& a, Answer& r) {
         if (!big(a, r)) return;
         r.body[20] ^= 1;
         r.cut = 2'000'000, r.ranges = false;
       },
       true},
      {"truncated, and it says so",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body.resize(1'000'000);
       },
       true},
      {"truncated without a word",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.body.resize(1'000'000), r.length = -2;
       },
       false},
      {"truncated, by its own length",
       [big](const Asked& a, Answer& r) {
         if (big(a, r)) r.cut = 1'000'000;
       },
       false},
  };
  TestRegistry mirror(tmp / "l");
  auto store = open("mirrors: {\"*\": {endpoint: [\"" + mirror.url() + "\", \"" + registry->url() + "\"]}}");
  for (const char* tag : {"t", "gz"}) {
    for (const auto& c : cases) {
      SCOPED_TRACE(c.name + std::string(", x:") + tag);
      mirror.twist(c.twist);
      registry->forget();
      auto got = store->pull({.reference = std::string("e.com/x:") + tag});
      ASSERT_TRUE(got) << got.error().text();
      EXPECT_EQ(registry->count([](const Asked& a) { return a.is_blob() && a.header("range").empty(); }),
                c.whole ? 1u : 0u);
      ASSERT_TRUE(store->remove(got->id));
      expect_nothing_left(*store);
    }
  }
}

TEST_F(Pull, WrongLayersEverywhereAreToldWithWhoSentThem) {
  TestRegistry first(tmp / "l"), second(tmp / "l");
  auto twist = [](char flip) {
    return [flip](const Asked& a, Answer& r) {
      if (a.is_blob() && r.body.size() > 1'000'000) r.body[2'000'000] ^= flip;
    };
  };
  first.twist(twist(1));
  second.twist(twist(2));
  registry->twist([](const Asked& a, Answer& r) {
    if (a.is_blob() && r.body.size() > 1'000'000) r = {.status = 404};
  });
  auto store = open("mirrors: {\"" + registry->host() + "\": {endpoint: [\"" + first.url() + "\", \"" + second.url() +
                    "\", \"" + registry->url() + "\"]}}");
  auto got = store->pull({.reference = name()});
  ASSERT_FALSE(got);
  const std::string text = got.error().text();
  for (const std::string& part :
       {first.host() + " sent sha256:", second.host() + " sent sha256:", registry->host(), std::string("answered 404")})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
  expect_nothing_left(*store);
}

}  // namespace
}  // namespace podshim::image::test
