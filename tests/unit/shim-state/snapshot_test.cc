#include "shim/state/snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/shim-state/samples.h"

namespace podshim::state {
namespace {

std::shared_ptr<const SandboxView> view(char digit, std::int64_t created, SandboxState state = SandboxState::ready) {
  return std::make_shared<SandboxView>(
      SandboxView{.id = samples::sandbox_id(digit), .state = state, .created_at_ns = created});
}

TEST(Publisher, KeepsOrderOfCreationAndReplacesInPlace) {
  Publisher p;
  p.put_sandbox([] { return view('b', 20); });
  p.put_sandbox([] { return view('a', 30); });
  p.put_sandbox([] { return view('c', 10); });
  auto before = p.load();
  p.put_sandbox([] { return view('b', 20, SandboxState::not_ready); });
  auto after = p.load();
  ASSERT_EQ(after->sandboxes.size(), 3U);
  EXPECT_EQ(after->sandboxes[0]->id, samples::sandbox_id('c'));
  EXPECT_EQ(after->sandboxes[1]->state, SandboxState::not_ready);
  EXPECT_EQ(before->sandboxes[1]->state, SandboxState::ready);  // a snapshot in hand does not change
  p.erase(samples::sandbox_id('b'));
  EXPECT_EQ(p.load()->sandboxes.size(), 2U);
  p.erase(samples::sandbox_id('b'));
  EXPECT_EQ(p.load()->sandboxes.size(), 2U);
}

TEST(Snapshot, FindsByIdAndByUniquePrefix) {
  Publisher p;
  p.put_sandbox([] { return view('a', 1); });
  auto other = std::make_shared<SandboxView>();
  other->id = *SandboxId::parse("aab" + std::string(61, '0'));
  other->created_at_ns = 2;
  p.put_sandbox([&] { return other; });
  auto s = p.load();
  bool ambiguous = false;
  EXPECT_EQ(s->sandbox(std::string(64, 'a'))->id, samples::sandbox_id('a'));
  EXPECT_EQ(s->sandbox("aab")->id, other->id);
  EXPECT_EQ(s->sandbox("aa", &ambiguous), nullptr);
  EXPECT_TRUE(ambiguous);
  ambiguous = false;
  EXPECT_EQ(s->sandbox("b", &ambiguous), nullptr);
  EXPECT_EQ(s->sandbox("", &ambiguous), nullptr);
  EXPECT_EQ(s->sandbox(std::string(65, 'a')), nullptr);
  EXPECT_FALSE(ambiguous);
}

TEST(Publisher, ReadersSeeWholeStatesWhileWritersWork) {
  Publisher p;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 2000; i++) {
      p.put_sandbox([] { return view('a', 1); });
      p.put_sandbox([] { return view('b', 2); });
      p.erase(samples::sandbox_id('a'));
      p.erase(samples::sandbox_id('b'));
    }
    stop = true;
  });
  std::size_t seen = 0;
  while (!stop) {
    auto s = p.load();
    seen = std::max(seen, s->sandboxes.size());
    for (const auto& v : s->sandboxes) ASSERT_EQ(v->id.str().size(), 64U);
  }
  writer.join();
  EXPECT_LE(seen, 2U);
  EXPECT_TRUE(p.load()->sandboxes.empty());
}

// What a change of a view means as events.
TEST(Publisher, TellsWhatHappened) {
  using enum PodEventType;
  constexpr auto running = ContainerState::running, exited = ContainerState::exited;
  const auto sandbox = [](SandboxState state) { return view('a', 1, state); };
  const auto container = [](ContainerState state, const char* reason = "") {
    return std::make_shared<const ContainerView>(ContainerView{.id = samples::container_id('b'),
                                                               .sandbox = samples::sandbox_id('a'),
                                                               .state = state,
                                                               .created_at_ns = 2,
                                                               .reason = reason});
  };
  struct Case {
    const char* name;
    std::function<void(Publisher&)> change;
    std::vector<PodEventType> want;
  };
  const auto put = [](auto what) {
    return [what](Publisher& p) {
      if constexpr (std::is_convertible_v<decltype(what), std::shared_ptr<const SandboxView>>)
        p.put_sandbox([&] { return what; });
      else
        p.put_container([&] { return what; });
    };
  };
  const Case cases[] = {
      {"sandbox", put(sandbox(SandboxState::ready)), {created, started}},
      {"same again", put(sandbox(SandboxState::ready)), {}},
      {"container", put(container(ContainerState::created)), {created}},
      {"runs", put(container(running)), {started}},
      {"changed while it runs", put(container(running, "x")), {}},
      {"exits", put(container(exited, "Error")), {stopped}},
      {"its start is published later", put(container(exited, "Error")), {}},
      {"removed", [](Publisher& p) { p.erase(samples::container_id('b')); }, {deleted}},
      {"removed twice", [](Publisher& p) { p.erase(samples::container_id('b')); }, {}},
      {"another", put(container(ContainerState::created)), {created}},
      {"ended before its start was published", put(container(exited, "Completed")), {started, stopped}},
      {"gone", [](Publisher& p) { p.erase(samples::container_id('b')); }, {deleted}},
      {"a third", put(container(ContainerState::created)), {created}},
      {"did not start", put(container(exited, "StartError")), {stopped}},
      {"stopped", put(sandbox(SandboxState::not_ready)), {stopped}},
      {"sandbox removed", [](Publisher& p) { p.erase(samples::sandbox_id('a')); }, {deleted}},
      {"recovered",
       [&](Publisher& p) { p.replace([&] { return Snapshot{.sandboxes = {sandbox(SandboxState::ready)}}; }); },
       {}},
  };
  Publisher p;
  auto reader = p.events().subscribe([] {});
  ASSERT_TRUE(reader.has_value());
  for (const auto& c : cases) {
    c.change(p);
    std::vector<PodEventType> told;
    while (auto event = (*reader)->next().value_or(std::nullopt)) {
      told.push_back(event->type);
      ASSERT_NE(event->sandbox, nullptr) << c.name;
      EXPECT_EQ(event->sandbox->id, samples::sandbox_id('a')) << c.name;
    }
    EXPECT_EQ(told, c.want) << c.name;
  }
}

}  // namespace
}  // namespace podshim::state
