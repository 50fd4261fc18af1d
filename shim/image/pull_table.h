// PullTable: the pulls under way, by what is pulled with which credentials. The first caller does the work on its own
// thread, later ones wait for its answer: one pull, one fetch, whoever goes away meanwhile. At most kAtOnce work, the
// others queue. Nobody waits for longer than its client: a joined call ends with its own, a pull that waits (for its
// turn, for a layer that another makes) with the last of its clients. One that works goes on: the next call finds it.
// PullBoard: how far one pull is; written by its threads, read by anybody.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/image/bundle.h"
#include "shim/image/store.h"

namespace podshim::image {

class PullBoard {
 public:
  struct Cell {
    std::string digest;
    std::uint64_t size = 0;
    std::atomic<std::uint64_t> fetched = 0;
    std::atomic<LayerStage> stage = LayerStage::waiting;
  };
  explicit PullBoard(std::string reference) : reference_(std::move(reference)) {}
  void show(const std::vector<BundleLayer>& layers);        // once
  Cell& cell(std::size_t layer) { return *cells_[layer]; }  // by who called show(), and threads it made
  PullProgress progress() const;

 private:
  const std::string reference_;
  mutable std::mutex mutex_;  // guards cells_ while it is made
  std::vector<std::unique_ptr<Cell>> cells_;
};

// A pull's place among those at work.
struct PullTurn {
  std::stop_token abandoned;        // every client has gone
  std::function<void(bool)> aside;  // true: others may have the place while this one waits; false: takes one again
};

class PullTable {
 public:
  static constexpr int kAtOnce = 8;
  using Work = std::function<Result<Image>(PullBoard&, const PullTurn&)>;
  Result<Image> run(const std::string& key, const std::string& reference, const std::stop_token& given_up,
                    const Work& work);
  std::vector<PullProgress> list() const;  // of those at work

 private:
  struct Entry {
    explicit Entry(std::string reference) : board(std::move(reference)) {}
    PullBoard board;
    std::optional<Result<Image>> result;
    int clients = 0;
    std::stop_source abandoned{};  // once no client is left
  };
  Result<Image> lead(const std::string& key, Entry& entry, const Work& work);
  Result<Image> join(Entry& entry, const std::stop_token& given_up);
  void take_place(const std::stop_token& abandoned);
  void leave_place();

  mutable std::mutex mutex_;  // guards all below, the results and the counts of clients
  std::condition_variable_any changed_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  int working_ = 0;
};

}  // namespace podshim::image
