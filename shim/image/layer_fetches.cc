#include "shim/image/layer_fetches.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "common/fault.h"

namespace podshim::image {

LayerFetches::~LayerFetches() {
  session_.cancel();
  for (auto& [digest, fetch] : fetches_)
    if (fetch.thread.joinable()) fetch.thread.join();
}

// A blob of another size is a damaged one: it is fetched again.
bool LayerFetches::is_here(const BundleLayer& layer) const {
  struct stat st{};
  return ::stat(blobs_.path(layer.digest).c_str(), &st) == 0 && static_cast<std::uint64_t>(st.st_size) == layer.size;
}

Result<> LayerFetches::begin(Fetch& fetch) {
  fetch.tries++;
  fetch.feed = TRY(BlobFeed::open(scratch_ + "/" + fetch.blob.digest.hex() + "." + std::to_string(fetch.tries)));
  fetch.cell->fetched = 0;
  try {
    fetch.thread = std::thread([this, &fetch] {
      ::pthread_setname_np(::pthread_self(), "fetch");
      session_.fetch(fetch.blob, *fetch.feed, &fetch.cell->fetched, fetch.origins);
    });
  } catch (const std::system_error& e) {  // no thread, so nobody would ever end the feed
    Error error = Error::sys("start thread", fetch.blob.digest.text(), {}, e.code().value());
    fetch.feed->end(fail(error));
    return fail(std::move(error));
  }
  return {};
}

Result<std::unique_ptr<ByteSource>> LayerFetches::open(const BundleLayer& layer, PullBoard::Cell& cell) {
  std::lock_guard lock(mutex_);
  auto [it, fresh] = fetches_.try_emplace(layer.digest);
  Fetch& fetch = it->second;
  if (fresh && is_here(layer)) {
    fetches_.erase(it);
    cell.fetched = layer.size;
    return file_source(TRY(blobs_.open_blob(layer.digest)), layer.digest.text());
  }
  if (fresh) {
    fetch.blob = {.digest = layer.digest, .size = static_cast<std::int64_t>(layer.size)};
    fetch.cell = &cell;
    if (auto begun = begin(fetch); !begun) {
      fetches_.erase(it);
      return fail(std::move(begun).error());
    }
  }
  read_[&layer] = fetch.tries;
  return feed_source(fetch.feed);
}

Result<> LayerFetches::again(const BundleLayer& layer, Error why) {
  std::unique_lock lock(mutex_);
  auto it = fetches_.find(layer.digest);
  if (it == fetches_.end()) return fail(std::move(why));  // it was here
  Fetch& fetch = it->second;
  if (read_[&layer] != fetch.tries) return {};  // another layer has the same bytes
  auto feed = fetch.feed;
  lock.unlock();
  auto verified = feed->wait();
  if (verified) return fail(std::move(why));
  lock.lock();
  if (read_[&layer] != fetch.tries) return {};
  if (fetch.thread.joinable()) fetch.thread.join();
  if (!session_.has_other(fetch.origins)) return verified;
  fault_point("drop corrupt fetch");
  ::unlink(feed->path().c_str());
  return begin(fetch);
}

Result<> LayerFetches::keep(const BundleLayer& layer) {
  std::shared_ptr<BlobFeed> feed;
  {
    std::lock_guard lock(mutex_);
    auto it = fetches_.find(layer.digest);
    if (it == fetches_.end()) return {};
    feed = it->second.feed;
  }
  TRY(feed->wait());
  std::lock_guard lock(mutex_);
  Fetch& fetch = fetches_.at(layer.digest);
  if (std::exchange(fetch.kept, true)) return {};  // another layer has the same bytes
  return blobs_.adopt(layer.digest, feed->path());
}

}  // namespace podshim::image
