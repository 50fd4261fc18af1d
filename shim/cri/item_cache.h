// ItemCache: List answers are asked for every second and change rarely, so each view is encoded once and a list is put
// together from bytes: 1,000 Pods in well under a millisecond in place of some ten. Views are immutable and replaced
// whole, hence the pointer is the key; the cache holds the view, so no other can come to have its address. What only
// the cache holds any more is dropped after some new ones: an eighth of what was there. Any thread; the mutex is held
// over encoding and copying, never over a system call.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "shim/cri/wire.h"
#include "shim/state/snapshot.h"

namespace podshim::cri {

inline void append_field1(const std::string& bytes, std::string* out) { append_field(1, bytes, out); }

template <typename View>
class ItemCache {
 public:
  using Encode = std::string (*)(const View&);
  explicit ItemCache(Encode encode) : encode_(encode) {}

  // Adds the view's bytes to `out` as one element of the repeated message field number 1.
  void append(const std::shared_ptr<const View>& view, std::string* out) {
    std::lock_guard lock(mutex_);
    auto& entry = entries_[view.get()];
    if (!entry.view) {
      entry = {view, encode_(*view)};
      if (++added_ > prune_after_) prune();
    }
    append_field1(entry.bytes, out);  // prune() drops others only: the caller holds this one
  }
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    std::shared_ptr<const View> view;
    std::string bytes;
  };
  void prune() {
    std::erase_if(entries_, [](const auto& e) { return e.second.view.use_count() == 1; });
    added_ = 0;
    prune_after_ = entries_.size() / 8 + 64;
  }

  const Encode encode_;
  mutable std::mutex mutex_;  // guards all below
  std::unordered_map<const View*, Entry> entries_;
  std::size_t added_ = 0, prune_after_ = 64;
};

}  // namespace podshim::cri
