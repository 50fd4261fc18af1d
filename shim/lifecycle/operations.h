// Operations: a name is the key of one running operation.
//
// run() starts `work` under a key, or, when one is running there with an equal request, waits for it and gives the same
// result. With another request under the key it fails with already_exists, naming stage, age and what differs. So a
// client's retry never meets a "reserved" name, and a client that gave up does not matter to the operation.
// Who joins waits kJoinPatience at most, as long as kubelets do: an operation may hang for ever (in a volume that does
// not answer), and retries of it must not take all threads of their lane.
// Any thread; the lock is held for the look at the map alone. Exceptions of `work` become internal errors for all.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/fault.h"
#include "common/result.h"
#include "shim/lifecycle/timeline.h"

namespace podshim::lifecycle {

// What a running operation tells about itself; written by the one that works, read by the watchdog.
class Stage {
 public:
  using Clock = std::chrono::steady_clock;

  void enter(const char* name) {  // a string constant
    fault_point(name);
    const auto now = Clock::now();
    finish(now);
    entered_ = now;
    open_ = true;
    current_.store(name, std::memory_order_relaxed);
  }
  const char* name() const {
    const char* name = current_.load(std::memory_order_relaxed);
    return name == nullptr ? "start" : name;
  }
  std::chrono::milliseconds age() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
  }
  // Of the current stage: what a plugin took, say. In the timeline alone.
  void part(const std::string& name, Clock::time_point began, Clock::time_point ended);

  // These for the one that worked, at its end. "plan=0.1 intent=0.2 ... total=3.0", milliseconds.
  std::string timings();
  OperationTimeline timeline(std::string operation, std::int64_t now_ns);
  bool entered_any() const { return current_.load(std::memory_order_relaxed) != nullptr; }

 private:
  struct Spent {
    const char* stage;
    std::string part;  // "" = the stage itself
    Clock::time_point began;
    Clock::duration took;
  };
  void finish(Clock::time_point now) {
    if (open_) spent_.push_back({current_.load(std::memory_order_relaxed), "", entered_, now - entered_});
    open_ = false;
  }

  std::atomic<const char*> current_{nullptr};
  const Clock::time_point began_ = Clock::now();
  Clock::time_point entered_;
  bool open_ = false;  // a stage is under way
  std::vector<Spent> spent_;
};

struct RunningOperation {
  std::string kind, key, stage;
  std::chrono::milliseconds age;
};

inline constexpr std::chrono::milliseconds kJoinPatience = std::chrono::minutes(4);

template <typename Value>
class Operations {
 public:
  explicit Operations(std::string kind, std::chrono::milliseconds patience = kJoinPatience)
      : kind_(std::move(kind)), patience_(patience) {}
  void observe(StageObserver observer) { observer_ = std::move(observer); }  // before the first run()

  // `differs`: what an operation that is running under the key was asked for, compared with this request: "" = the
  // same. `request` is kept for that comparison.
  template <typename Request, typename Differs, typename Work>
  Result<Value> run(const std::string& key, const Request& request, Differs differs, Work work) {
    std::shared_ptr<Entry> entry;
    {
      std::unique_lock lock(mutex_);
      if (auto at = running_.find(key); at != running_.end()) {
        entry = at->second;
        const std::string other = differs(*static_cast<const Request*>(entry->request.get()));
        if (!other.empty()) return fail(busy(key, *entry, other));
        if (!entry->done.wait_for(lock, patience_, [&] { return entry->result != nullptr; }))
          return fail(still_running(key, *entry));
        return *entry->result;
      }
      entry = std::make_shared<Entry>();
      entry->request = std::make_shared<Request>(request);
      running_.emplace(key, entry);
    }
    auto result = std::make_shared<Result<Value>>(attempt(work, entry->stage));
    if (observer_ && *result && entry->stage.entered_any()) {
      const auto timeline = entry->stage.timeline(kind_, 0);
      observer_(kind_, timeline.stages, timeline.took);
    }
    std::lock_guard lock(mutex_);
    entry->result = result;
    running_.erase(key);
    entry->done.notify_all();
    return *result;
  }

  // Without a request to compare: whoever comes joins.
  template <typename Work>
  Result<Value> run(const std::string& key, Work work) {
    return run(key, 0, [](int) { return std::string(); }, std::move(work));
  }

  std::vector<RunningOperation> running() const {
    std::vector<RunningOperation> out;
    std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : running_) out.push_back({kind_, key, entry->stage.name(), entry->stage.age()});
    return out;
  }

 private:
  struct Entry {
    Stage stage;
    std::shared_ptr<const void> request;
    std::shared_ptr<const Result<Value>> result;
    std::condition_variable done;
  };

  template <typename Work>
  Result<Value> attempt(Work& work, Stage& stage) {
    try {
      return work(stage);
    } catch (const std::exception& e) {
      return fail(Error::of(ErrorKind::internal, "run", kind_, e.what()));
    }
  }

  Error busy(const std::string& key, const Entry& entry, const std::string& other) const {
    return Error::of(ErrorKind::already_exists, kind_.c_str(), key,
                     "is being made for " + std::to_string(entry.stage.age().count()) + " ms, stage " +
                         entry.stage.name() + ", with another config: " + other);
  }

  Error still_running(const std::string& key, const Entry& entry) const {
    return Error::of(
        ErrorKind::deadline_exceeded, kind_.c_str(), key,
        "runs for " + std::to_string(entry.stage.age().count()) + " ms already, stage " + entry.stage.name());
  }

  const std::string kind_;
  const std::chrono::milliseconds patience_;
  StageObserver observer_;
  mutable std::mutex mutex_;  // guards running_ and each Entry's result
  std::map<std::string, std::shared_ptr<Entry>> running_;
};

}  // namespace podshim::lifecycle
