#include "shim/image/pull_table.h"

#include <exception>

namespace podshim::image {
namespace {

Error nobody_waits() { return Error::of(ErrorKind::cancelled, "pull", "image", "its client has gone"); }

}  // namespace

void PullBoard::show(const std::vector<BundleLayer>& layers) {
  std::lock_guard lock(mutex_);
  for (const auto& layer : layers) {
    cells_.push_back(std::make_unique<Cell>());
    cells_.back()->digest = layer.digest.text();
    cells_.back()->size = layer.size;
  }
}

PullProgress PullBoard::progress() const {
  PullProgress out{.reference = reference_};
  std::lock_guard lock(mutex_);
  for (const auto& cell : cells_) {
    LayerStage stage = cell->stage;
    const std::uint64_t fetched = cell->fetched;
    if (stage == LayerStage::fetching && fetched == cell->size) stage = LayerStage::unpacking;
    out.layers.push_back({.digest = cell->digest, .size = cell->size, .fetched = fetched, .stage = stage});
  }
  return out;
}

// One that nobody waits for gets its place at once: it is about to end.
void PullTable::take_place(const std::stop_token& abandoned) {
  std::unique_lock lock(mutex_);
  (void)changed_.wait(lock, abandoned, [&] { return working_ < kAtOnce; });
  working_++;
}

void PullTable::leave_place() {
  {
    std::lock_guard lock(mutex_);
    working_--;
  }
  changed_.notify_all();
}

Result<Image> PullTable::lead(const std::string& key, Entry& entry, const Work& work) {
  const PullTurn turn{.abandoned = entry.abandoned.get_token(), .aside = [&](bool away) {
                        if (away)
                          leave_place();
                        else
                          take_place(entry.abandoned.get_token());
                      }};
  take_place(turn.abandoned);
  auto result = [&]() -> Result<Image> {
    if (turn.abandoned.stop_requested()) return fail(nobody_waits());
    try {
      return work(entry.board, turn);
    } catch (const std::exception& e) {  // a library's: those who wait must get an answer
      return fail(Error::of(ErrorKind::internal, "exception", "pull", e.what()));
    }
  }();
  {
    std::lock_guard lock(mutex_);
    entry.result = result;
    entries_.erase(key);
  }
  leave_place();
  return result;
}

Result<Image> PullTable::join(Entry& entry, const std::stop_token& given_up) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, given_up, [&] { return entry.result.has_value(); })) return fail(nobody_waits());
  return *entry.result;
}

Result<Image> PullTable::run(const std::string& key, const std::string& reference, const std::stop_token& given_up,
                             const Work& work) {
  for (;;) {
    std::shared_ptr<Entry> entry;
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      auto& place = entries_[key];
      first = place == nullptr;
      if (first) place = std::make_shared<Entry>(reference);
      entry = place;
      entry->clients++;
    }
    std::stop_callback gone(given_up, [&] {
      {
        std::lock_guard lock(mutex_);
        if (--entry->clients > 0) return;
      }
      entry->abandoned.request_stop();
    });
    auto result = first ? lead(key, *entry, work) : join(*entry, given_up);
    // Joined just when the others had gone: it ended with them, so this call begins anew.
    const bool ended_with_others = !result && result.error().kind == ErrorKind::cancelled &&
                                   entry->abandoned.stop_requested() && !given_up.stop_requested();
    if (!ended_with_others) return result;
  }
}

std::vector<PullProgress> PullTable::list() const {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : entries_) entries.push_back(entry);
  }
  std::vector<PullProgress> out;
  for (const auto& entry : entries) out.push_back(entry->board.progress());
  return out;
}

}  // namespace podshim::image
