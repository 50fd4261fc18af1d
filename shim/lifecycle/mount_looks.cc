#include "shim/lifecycle/mount_looks.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/sys/descriptors.h"

namespace podshim::lifecycle {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string has_not_answered(Clock::duration age) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  return "does not answer, for " + std::to_string(seconds) + " s now: is its file server there?";
}

const char* name_of(const MountLook& look, const char* all) { return look.what != nullptr ? look.what : all; }

}  // namespace

struct MountLooks::Round {  // guarded by the State's mutex
  std::string at;           // "" until its thread runs: a machine that is behind says nothing about the path
  const char* what = nullptr;
  Clock::time_point since;
  std::optional<Result<>> result;
  bool given_up = false;
};

struct MountLooks::State {
  std::mutex mutex;  // guards what follows; not held during a look
  std::condition_variable ended;
  std::vector<std::shared_ptr<Round>> silent;  // those that were given up
  std::size_t waiting = 0;
};

MountLooks::MountLooks(Limits limits) : limits_(limits), state_(std::make_shared<State>()) {}

Result<> MountLooks::run(std::vector<MountLook> looks, const char* what) const {
  if (looks.empty()) return {};
  auto round = std::make_shared<Round>();
  round->since = Clock::now();
  const std::string first = looks.front().path;
  std::unique_lock lock(state_->mutex);
  for (const auto& silent : state_->silent)
    for (const auto& look : looks)
      if (silent->at == look.path)
        return fail(Error::of(ErrorKind::unavailable, name_of(look, what), look.path,
                              has_not_answered(Clock::now() - silent->since)));
  if (state_->silent.size() >= limits_.silent)
    return fail(Error::of(ErrorKind::resource_exhausted, what, first,
                          std::to_string(limits_.silent) + " others do not answer; no more are looked at"));
  std::thread([state = state_, round, what, looks = std::move(looks)] { work(state, round, what, looks); }).detach();
  const auto done = [&] { return round->result.has_value(); };
  // Most answer at once; only who waits longer is of the crowd.
  if (const auto moment = limits_.patience / 100; !state_->ended.wait_for(lock, moment, done)) {
    const auto patience = state_->waiting < limits_.crowd ? limits_.patience : limits_.crowded;
    state_->waiting++;
    state_->ended.wait_for(lock, patience - moment, done);
    state_->waiting--;
  }
  if (round->result) return *std::move(round->result);
  round->given_up = true;
  if (round->at.empty())
    return fail(Error::of(ErrorKind::deadline_exceeded, what, first, "not looked at in time: the machine is behind"));
  state_->silent.push_back(round);
  return fail(
      Error::of(ErrorKind::deadline_exceeded, round->what, round->at, has_not_answered(Clock::now() - round->since)));
}

void MountLooks::work(const std::shared_ptr<State>& state, const std::shared_ptr<Round>& round, const char* what,
                      const std::vector<MountLook>& looks) {
  ::pthread_setname_np(::pthread_self(), "mount-look");
  sys::leave_descriptors();  // the daemon's locks must not live as long as this
  std::unique_lock lock(state->mutex);
  Result<> result;
  for (auto look = looks.begin(); look != looks.end() && result && !round->given_up; ++look) {
    round->at = look->path;
    round->what = name_of(*look, what);
    round->since = Clock::now();
    lock.unlock();
    result = look->look();
    lock.lock();
  }
  round->result = std::move(result);
  std::erase(state->silent, round);
  state->ended.notify_all();
}

std::vector<MountLooks::Silent> MountLooks::silent() const {
  std::vector<Silent> out;
  std::lock_guard lock(state_->mutex);
  for (const auto& round : state_->silent)
    out.push_back({round->at, std::chrono::duration_cast<milliseconds>(Clock::now() - round->since)});
  return out;
}

}  // namespace podshim::lifecycle
