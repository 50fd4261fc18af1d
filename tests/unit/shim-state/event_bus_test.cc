#include "shim/state/event_bus.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/shim-state/samples.h"

namespace podshim {
namespace {

using enum PodEventType;

std::unique_ptr<EventSubscription> subscribe(EventBus& bus, std::function<void()> wake = [] {}) {
  auto out = bus.subscribe(std::move(wake));
  EXPECT_TRUE(out.has_value()) << out.error().text();
  return *std::move(out);
}

std::vector<PodEvent> drain(EventSubscription& from) {
  std::vector<PodEvent> out;
  for (;;) {
    auto event = from.next();
    EXPECT_TRUE(event.has_value()) << event.error().text();
    if (!event || !*event) return out;
    out.push_back(**std::move(event));
  }
}

std::string text(const std::vector<PodEvent>& events) {
  static const char* const kNames[] = {"created", "started", "stopped", "deleted"};
  std::string out;
  for (const auto& e : events) out += (out.empty() ? "" : " ") + e.id + ":" + kNames[static_cast<std::size_t>(e.type)];
  return out;
}

TEST(EventBus, TellsEverySubscriberFromItsSubscriptionOn) {
  EventBus bus;
  bus.announce("a", created, nullptr);
  auto first = subscribe(bus);
  bus.announce("a", started, nullptr);
  auto second = subscribe(bus);
  bus.announce("b", created, nullptr);
  EXPECT_EQ(text(drain(*first)), "a:started b:created");
  EXPECT_EQ(text(drain(*first)), "");
  EXPECT_EQ(text(drain(*second)), "b:created");
}

TEST(EventBus, JoinsWhatALateReaderDidNotRead) {
  struct Case {
    const char* name;
    std::vector<std::pair<const char*, PodEventType>> told;
    const char* want;
  };
  const Case cases[] = {
      {"a life", {{"a", created}, {"a", started}, {"a", stopped}}, "a:created a:started a:stopped"},
      {"a whole life", {{"a", created}, {"a", started}, {"a", stopped}, {"a", deleted}}, "a:deleted"},
      {"a swing", {{"a", started}, {"a", stopped}, {"a", started}, {"a", stopped}}, "a:started a:stopped"},
      {"the newest last", {{"a", started}, {"b", started}, {"a", started}}, "b:started a:started"},
      {"others stay", {{"a", created}, {"b", created}, {"a", deleted}}, "b:created a:deleted"},
  };
  for (const auto& c : cases) {
    EventBus bus;
    auto late = subscribe(bus);
    for (const auto& [id, type] : c.told) bus.announce(id, type, nullptr);
    EXPECT_EQ(text(drain(*late)), c.want) << c.name;
  }
}

TEST(EventBus, TimesGrowWhateverTheClockDoes) {
  std::int64_t now = 100;
  EventBus bus({}, [&] { return now; });
  auto reader = subscribe(bus);
  for (const std::int64_t time : {100, 100, 50, 200}) {
    now = time;
    bus.announce("a" + std::to_string(bus.pending()), created, nullptr);
  }
  std::vector<std::int64_t> times;
  for (const auto& e : drain(*reader)) times.push_back(e.at_ns);
  EXPECT_EQ(times, (std::vector<std::int64_t>{100, 101, 102, 200}));
}

TEST(EventBus, OneThatSleepsHoldsUpNobodyAndReadsTheEnd) {
  EventBus bus;
  auto awake = subscribe(bus), other = subscribe(bus), asleep = subscribe(bus);
  std::map<std::string, PodEventType> seen, seen_late;
  std::size_t most = 0;
  for (int i = 0; i < 10'000; i++) {
    // 20 containers that come and go; the last round leaves each in another state.
    const std::string id = "c" + std::to_string(i % 20) + "-" + std::to_string(i / 80);
    bus.announce(id, static_cast<PodEventType>(i / 20 % 4), nullptr);
    for (const auto& e : drain(*awake)) seen[e.id] = e.type;
    if (i % 7 == 0) drain(*other);
    most = std::max(most, bus.pending());
  }
  const auto late = drain(*asleep);
  for (const auto& e : late) seen_late[e.id] = e.type;
  EXPECT_EQ(seen_late, seen);
  EXPECT_EQ(seen.size(), 2'500U);
  EXPECT_EQ(late.size(), 2'500U);  // each deleted one as that alone
  EXPECT_LE(most, 2'600U);
  asleep.reset();
  EXPECT_LE(bus.pending(), 300U);
  awake.reset();
  other.reset();
  EXPECT_EQ(bus.pending(), 0U);
  bus.announce("z", created, nullptr);
  EXPECT_EQ(bus.pending(), 0U);  // nobody listens
}

TEST(EventBus, WhoIsTooFarBehindIsToldSo) {
  EventBus bus({.subscribers = 3, .log = 100}, nullptr);
  auto asleep = subscribe(bus), awake = subscribe(bus);
  for (int i = 0; i < 1'000; i++) {
    bus.announce(std::to_string(i), deleted, nullptr);
    EXPECT_EQ(drain(*awake).size(), 1U);
    EXPECT_LE(bus.pending(), 100U);
  }
  const auto late = asleep->next();
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().kind, ErrorKind::resource_exhausted);
  EXPECT_FALSE(asleep->next().has_value());  // for good
  auto fresh = subscribe(bus);
  bus.announce("new", created, nullptr);
  EXPECT_EQ(text(drain(*fresh)), "new:created");
}

TEST(EventBus, TakesSoManySubscribersAndNoMore) {
  EventBus bus;
  std::vector<std::unique_ptr<EventSubscription>> all;
  for (int i = 0; i < 256; i++) all.push_back(subscribe(bus));
  const auto refused = bus.subscribe([] {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::resource_exhausted);
  EXPECT_NE(refused.error().text().find("256"), std::string::npos) << refused.error().text();
  all.pop_back();
  EXPECT_TRUE(bus.subscribe([] {}).has_value());
}

TEST(EventBus, WakesWhoFoundNothingOnce) {
  EventBus bus;
  int woken = 0;
  auto reader = subscribe(bus, [&] { woken++; });
  bus.announce("a", created, nullptr);
  EXPECT_EQ(woken, 0);  // it has not asked yet
  drain(*reader);
  bus.announce("b", created, nullptr);
  bus.announce("c", created, nullptr);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(text(drain(*reader)), "b:created c:created");
  bus.announce("d", created, nullptr);
  EXPECT_EQ(woken, 2);
}

TEST(EventBus, ReadersAndWritersOnManyThreads) {
  EventBus bus({.log = 4'096}, nullptr);
  std::atomic<int> done{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 4; r++)
    readers.emplace_back([&, r] {
      auto reader = bus.subscribe([] {});
      ASSERT_TRUE(reader.has_value());
      done++;
      std::set<std::string> gone;
      while (gone.size() < 400) {
        auto event = (*reader)->next();
        ASSERT_TRUE(event.has_value());
        if (*event && (*event)->type == deleted) gone.insert((*event)->id);
        if (!*event || r == 0) std::this_thread::yield();
      }
    });
  while (done < 4) std::this_thread::yield();
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; w++)
    writers.emplace_back([&, w] {
      for (int i = 0; i < 100; i++)
        for (const auto type : {created, started, stopped, deleted})
          bus.announce(std::to_string(w) + "-" + std::to_string(i), type, nullptr);
    });
  for (auto& t : writers) t.join();
  for (auto& t : readers) t.join();
  EXPECT_EQ(bus.subscribers(), 0U);
}

}  // namespace
}  // namespace podshim
