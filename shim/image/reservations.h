// Reservations: the blobs and layers that imports and pulls under way put down or count on before a record names them.
// A collection keeps them, and nobody reserves while it runs: who reserves first and looks then finds what stays. Any
// thread; reserve() waits for a collection, never for an import or pull.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <set>

#include "shim/image/digest.h"

namespace podshim::image {

class Reservations {
 public:
  struct Kept {
    std::set<Digest> blobs, chains;
  };
  // As long as it lives. The Reservations outlive it.
  class Hold {
   public:
    Hold(Reservations& all, std::list<Kept>::iterator at) : all_(all), at_(at) {}
    ~Hold() {
      std::lock_guard lock(all_.mutex_);
      all_.kept_.erase(at_);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Reservations& all_;
    std::list<Kept>::iterator at_;
  };

  std::unique_ptr<Hold> reserve(Kept kept) {
    std::lock_guard lock(mutex_);
    return std::make_unique<Hold>(*this, kept_.insert(kept_.end(), std::move(kept)));
  }

  // `work` gets all that is reserved. What is recorded has to be read inside: a hold goes only after its record is
  // there.
  void collect(const std::function<void(Kept all)>& work) {
    std::lock_guard lock(mutex_);
    Kept all;
    for (const auto& kept : kept_) {
      all.blobs.insert(kept.blobs.begin(), kept.blobs.end());
      all.chains.insert(kept.chains.begin(), kept.chains.end());
    }
    work(std::move(all));
  }

 private:
  std::mutex mutex_;
  std::list<Kept> kept_;
};

}  // namespace podshim::image
