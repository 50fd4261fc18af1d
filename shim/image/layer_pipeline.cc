#include "shim/image/layer_pipeline.h"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <thread>

#include "common/fault.h"

namespace podshim::image {
namespace {

class Pipeline {
 public:
  Pipeline(LayerDir& dir, const std::vector<LayerSource>& sources, const PipelineSettings& settings)
      : dir_(dir), sources_(sources), settings_(settings), layers_(sources.size()), ready_(sources.size()) {}
  ~Pipeline() {
    {
      std::lock_guard lock(mutex_);
      if (!failure_ && !std::all_of(ready_.begin(), ready_.end(), std::identity()))
        note_failure(Error::of(ErrorKind::cancelled, "make layers", "the image"));
    }
    for (auto& worker : workers_) worker.join();
    claims_.clear();  // while there is somebody to be told that they are wanted
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Result<> run() {
    TRY(claim_all());
    for (std::size_t n = std::min(settings_.parallel, queue_.size()); n > 0; n--)
      workers_.emplace_back([this] { work(); });
    std::vector<std::size_t> made;
    for (std::size_t i = 0; i < sources_.size();) {
      if (TRY(wait_ready(i))) {
        if (claims_[i]) made.push_back(i);
        i++;
      }
      if (std::any_of(made.begin(), made.end(), [&](std::size_t m) { return dir_.is_wanted(layers_[m].chain); })) {
        TRY(publish(made));
        made.clear();
      }
    }
    return made.empty() ? Result<>() : publish(made);
  }

 private:
  // Who waits for a claim holds none: nobody gets past a layer that another one has.
  Result<> claim_all() {
    Digest parent;
    const LayerDir::ClaimTerms terms{
        .given_up = settings_.given_up, .aside = settings_.aside, .wanted = [this] { note_wanted(); }};
    for (std::size_t i = 0; i < sources_.size(); i++) {
      layers_[i] = {.chain = chain_id(parent, sources_[i].diff_id), .parent = parent, .diff_id = sources_[i].diff_id};
      parent = layers_[i].chain;
      claims_.push_back(TRY(dir_.claim(parent, terms)));
      if (claims_[i]) {
        queue_.push_back(i);
        continue;
      }
      layers_[i] = TRY(dir_.whole(parent));  // of those below, any may be ours to make: a damaged one
      ready_[i] = true;
      if (sources_[i].done) sources_[i].done();
    }
    return {};
  }

  // False: not yet, but somebody began to wait for one of ours.
  Result<bool> wait_ready(std::size_t i) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_[i] || wanted_ || failure_; });
    if (failure_) return fail(*failure_);
    wanted_ = false;
    return ready_[i] != 0;
  }

  void note_wanted() {
    std::lock_guard lock(mutex_);
    wanted_ = true;
    changed_.notify_all();
  }

  // Lowest first, so whom a worker waits for is always at work or done.
  void work() {
    ::pthread_setname_np(::pthread_self(), "layer");
    std::unique_lock lock(mutex_);
    for (;;) {
      if (failure_ || queue_.empty()) return;
      const std::size_t i = queue_.front();
      queue_.pop_front();
      Layer layer = layers_[i];
      lock.unlock();
      auto made = make(i, &layer);
      lock.lock();
      if (made) {
        layers_[i] = std::move(layer);
        ready_[i] = true;
        changed_.notify_all();
      } else if (!failure_) {
        note_failure(std::move(made).error());
      }
    }
  }

  void note_failure(Error error) {  // with mutex_ held
    failure_ = std::move(error);
    if (settings_.give_up) settings_.give_up();
    changed_.notify_all();
  }

  Result<> make(std::size_t i, Layer* layer) {
    for (;;) {
      auto made = make_once(i, layer);
      if (made || !sources_[i].again) return made;
      TRY(sources_[i].again(std::move(made).error()));
    }
  }

  Result<> make_once(std::size_t i, Layer* layer) {
    try {
      auto source = TRY(sources_[i].open());
      TRY(dir_.stage(layer, std::move(source), [&] { return below(i); }, settings_.limits));
      if (sources_[i].verify) TRY(sources_[i].verify());
      if (sources_[i].done) sources_[i].done();
      return {};
    } catch (const std::exception& e) {  // memory: a thread must not end the daemon
      return fail(Error::of(ErrorKind::internal, "exception", sources_[i].diff_id.text(), e.what()));
    }
  }

  Result<std::vector<Layer>> below(std::size_t i) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || std::all_of(ready_.begin(), ready_.begin() + i, std::identity()); });
    if (failure_) return fail(*failure_);
    return std::vector<Layer>(layers_.begin(), layers_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  // The caller syncs again before the record, which also makes the markers last.
  Result<> publish(const std::vector<std::size_t>& made) {
    TRY(settings_.sync());
    for (std::size_t i : made) TRY(dir_.write_marker(layers_[i]));
    TRY(settings_.sync());
    fault_point("publish layers");
    for (std::size_t i : made) {
      dir_.publish(layers_[i]);
      claims_[i].reset();
    }
    return {};
  }

  LayerDir& dir_;
  const std::vector<LayerSource>& sources_;
  const PipelineSettings& settings_;
  std::vector<std::unique_ptr<LayerDir::Claim>> claims_;  // of the caller's thread; released after the workers ended
  std::mutex mutex_;                                      // guards all below but workers_
  std::condition_variable changed_;
  std::vector<Layer> layers_;  // one's own after ready_
  std::vector<char> ready_;
  bool wanted_ = false;
  std::deque<std::size_t> queue_;
  std::optional<Error> failure_;
  std::vector<std::thread> workers_;
};

}  // namespace

Result<> store_layers(LayerDir& dir, const std::vector<LayerSource>& sources, const PipelineSettings& settings) {
  return Pipeline(dir, sources, settings).run();
}

}  // namespace podshim::image
