#include "shim/lifecycle/cgroup_kills.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace podshim::lifecycle {
namespace {

using std::chrono::milliseconds;

// A killed process is usually gone within a millisecond or two.
constexpr milliseconds kFirstPause{1}, kSoon{500}, kLastPause{10'000};

}  // namespace

CgroupKills::CgroupKills(Round round, milliseconds patience)
    : round_(std::move(round)), patience_(patience), thread_([this] { work(); }) {}

void CgroupKills::kill(CgroupPaths cgroup, std::function<void()> ended, std::function<void()> late) {
  const auto now = Clock::now();
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    entries_.push_back({.cgroup = std::move(cgroup),
                        .ended = std::move(ended),
                        .late = std::move(late),
                        .since = now,
                        .next = now,
                        .pause = kFirstPause});
  }
  changed_.notify_all();
}

void CgroupKills::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CgroupKills::wait_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return entries_.empty() && !busy_; });
}

bool CgroupKills::has_gone(Entry& entry) {
  auto killed = round_(entry.cgroup);
  if (killed) {
    entry.ended();
    return true;
  }
  const auto now = Clock::now(), late = entry.since + patience_;
  entry.next = now + entry.pause;
  entry.pause = std::min(entry.pause * 2, now < late ? kSoon : kLastPause);  // before it is late, somebody waits
  if (now < late) entry.next = std::min(entry.next, late);
  if (now < late || std::exchange(entry.told, true)) return false;
  log::warn("processes do not die", {{"cgroup", entry.cgroup.path}, {"error", killed.error().text()}});
  if (entry.late) entry.late();
  return false;
}

void CgroupKills::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto first = std::min_element(entries_.begin(), entries_.end(),
                                        [](const Entry& a, const Entry& b) { return a.next < b.next; });
    if (first == entries_.end()) {
      changed_.wait(lock);
      continue;
    }
    if (const auto at = first->next; at > Clock::now()) {
      changed_.wait_until(lock, at);
      continue;
    }
    Entry entry = std::move(*first);
    entries_.erase(first);
    busy_ = true;
    lock.unlock();
    const bool gone = has_gone(entry);
    if (gone) entry.ended = entry.late = nullptr;  // what they held goes before anybody is told
    lock.lock();
    busy_ = false;
    if (!gone) entries_.push_back(std::move(entry));
    changed_.notify_all();
  }
  auto rest = std::move(entries_);
  entries_.clear();
  lock.unlock();
  for (auto& entry : rest) has_gone(entry);
}

}  // namespace podshim::lifecycle
