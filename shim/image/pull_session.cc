#include "shim/image/pull_session.h"

#include <algorithm>
#include <exception>

#include "common/fault.h"
#include "common/log.h"
#include "shim/image/blob_sink.h"

namespace podshim::image {
namespace {

constexpr std::uint64_t kProgress = 256UL << 10;  // so much makes a broken transfer worth its attempts again
constexpr int kAttemptsBefore = 2;                // at an endpoint that others follow
constexpr std::chrono::milliseconds kLongestPause{10'000};
constexpr std::chrono::seconds kUnreachedTime{15};  // no attempt begins later at a host that is not reached

bool is_local(const Error& e) { return e.kind == ErrorKind::os || e.kind == ErrorKind::cancelled; }
bool is_unreached(const Error& e) { return e.is(ECONNREFUSED) || e.is(EHOSTUNREACH); }
// A name that nobody knows is not worth a second question; one that was known a moment ago is.
bool may_help_again(const Error& e, Registry& registry) {
  if (e.kind != ErrorKind::unavailable) return false;
  if (e.is(EHOSTUNREACH)) return registry.knows(e.subject);
  return e.is(EAGAIN) || e.is(ETIMEDOUT) || e.is(ECONNREFUSED);
}

}  // namespace

class PullSession::Connection {
 public:
  explicit Connection(PullSession& session) : session_(session) {
    std::lock_guard lock(session.mutex_);
    if (session.idle_.empty()) {
      connection_ = std::make_unique<HttpConnection>();
    } else {
      connection_ = std::move(session.idle_.back());
      session.idle_.pop_back();
    }
  }
  ~Connection() {
    std::lock_guard lock(session_.mutex_);
    session_.idle_.push_back(std::move(connection_));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  HttpConnection& operator*() { return *connection_; }

 private:
  PullSession& session_;
  std::unique_ptr<HttpConnection> connection_;
};

Result<std::unique_ptr<PullSession>> PullSession::open(const Reference& reference, const RegistryAuth& auth,
                                                       const PullSettings& settings, const RetryPolicy& retry) {
  std::unique_ptr<PullSession> self(new PullSession(reference, retry));
  self->registries_ = settings.registries ? settings.registries : std::make_shared<const Registries>();
  for (auto& endpoint : TRY(endpoints_of(*self->registries_, reference, auth)))
    self->endpoints_.push_back(
        TRY(Registry::open(std::move(endpoint), *self->registries_, settings.stall, &self->cancelled_)));
  return self;
}

void PullSession::cancel() {
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  woken_.notify_all();
}

bool PullSession::pause(Registry& registry, int attempt) {
  std::chrono::milliseconds time = std::min(retry_.first_pause * (1 << std::min(attempt, 10)), kLongestPause);
  time = std::max<std::chrono::milliseconds>(time, registry.take_retry_after());
  std::unique_lock lock(mutex_);
  return !woken_.wait_for(lock, time, [&] { return cancelled_.load(); });
}

template <typename Call>
std::invoke_result_t<Call, Registry&, HttpConnection&> PullSession::ask_one(Registry& registry, bool last,
                                                                            const BlobFeed* feed, Call call) {
  Connection connection(*this);
  auto lost = std::chrono::steady_clock::now();  // since then it was not reached
  for (int attempt = 0;; attempt++) {
    const std::uint64_t before = feed != nullptr ? feed->size() : 0;
    auto result = call(registry, *connection);
    if (result || !may_help_again(result.error(), registry)) return result;
    if (!last && !result.error().is(EAGAIN)) return result;  // not reached, or stalled: the next one may do better
    if (feed != nullptr && feed->size() >= before + kProgress) attempt = 0;
    const auto now = std::chrono::steady_clock::now();
    if (!is_unreached(result.error())) lost = now;
    if (now - lost > kUnreachedTime) return result;
    if (attempt + 1 >= (last ? retry_.attempts : std::min(retry_.attempts, kAttemptsBefore))) return result;
    log::debug("registry is asked again", {{"endpoint", registry.endpoint().base.authority()},
                                           {"image", reference_.text()},
                                           {"error", result.error().text()}});
    if (!pause(registry, attempt))
      return fail(Error::of(ErrorKind::cancelled, "fetch", registry.endpoint().base.authority()));
  }
}

template <typename Call>
std::invoke_result_t<Call, Registry&, HttpConnection&> PullSession::ask(Call call, const BlobFeed* feed) {
  const std::size_t first = first_;
  std::string before;  // what those asked earlier said
  for (std::size_t n = 0;; n++) {
    const std::size_t i = n == 0 ? first : n <= first ? n - 1 : n;
    const bool last = n + 1 == endpoints_.size();
    auto result = ask_one(*endpoints_[i], last, feed, call);
    if (result) {
      first_ = i;
      return result;
    }
    Error error = std::move(result).error();
    if (is_local(error)) return fail(std::move(error));
    if (last) {
      if (!before.empty()) error.detail += "; asked before: " + before;
      return fail(std::move(error));
    }
    before += (before.empty() ? "" : "; ") + error.text();
  }
}

Result<Resolved> PullSession::resolve() {
  fault_point("resolve tag");
  const std::string& name = reference_.digest.empty() ? reference_.tag : reference_.digest;
  return ask([&](Registry& r, HttpConnection& c) { return r.resolve(c, name); });
}

Result<std::string> PullSession::manifest(const Digest& digest) {
  fault_point("fetch manifest");
  return ask([&](Registry& r, HttpConnection& c) { return r.manifest(c, digest); });
}

Result<std::string> PullSession::document(const Digest& digest) {
  fault_point("fetch config");
  return ask([&](Registry& r, HttpConnection& c) { return r.document(c, digest); });
}

// Whose fault it is, is known when one endpoint sent it all; else each is asked for the whole, the last one first.
void PullSession::note_corrupt(const std::vector<std::size_t>& from, BlobOrigins& origins) const {
  if (origins.corrupt) return;
  origins.corrupt = true;
  const std::size_t n = endpoints_.size(), last = from.back();
  for (std::size_t i = from.size() > 1 ? 0 : 1; i < n; i++) origins.next.push_back((last + i) % n);
}

Result<> PullSession::fetch_verified(const Descriptor& blob, BlobFeed& feed, std::atomic<std::uint64_t>* fetched,
                                     BlobOrigins& origins) {
  BlobSink sink(blob, feed, fetched);
  fault_point("fetch blob");
  std::vector<std::size_t> from;  // whose bytes are in the feed
  auto call = [&](Registry& r, HttpConnection& c) -> Result<> {
    if (sink.complete()) return {};
    const std::uint64_t before = feed.size();
    sink.from(r.endpoint().base.authority());
    auto sent = r.blob(c, blob.digest, before, sink);
    const auto who = static_cast<std::size_t>(
        std::find_if(endpoints_.begin(), endpoints_.end(), [&](auto& e) { return e.get() == &r; }) -
        endpoints_.begin());
    if (feed.size() > before && std::find(from.begin(), from.end(), who) == from.end()) from.push_back(who);
    TRY(std::move(sent));
    if (sink.complete()) return {};
    Error error = Error::of(
        ErrorKind::unavailable, "fetch", r.endpoint().base.authority(),
        "the body ended after " + std::to_string(feed.size()) + " of " + std::to_string(blob.size) + " bytes");
    error.code = EAGAIN;
    return fail(std::move(error));
  };
  if (origins.corrupt) {
    Registry& other = *endpoints_[origins.next.front()];
    origins.next.erase(origins.next.begin());
    TRY(ask_one(other, true, &feed, call));
  } else {
    TRY(ask(call, &feed));
  }
  std::string names;
  for (std::size_t i : from) names += (names.empty() ? "" : " and ") + name_of(i);
  auto right = sink.verify(names);
  if (!right) note_corrupt(from, origins);
  return right;
}

void PullSession::fetch(const Descriptor& blob, BlobFeed& feed, std::atomic<std::uint64_t>* fetched,
                        BlobOrigins& origins) {
  auto result = [&]() -> Result<> {
    try {
      return fetch_verified(blob, feed, fetched, origins);
    } catch (const std::exception& e) {  // memory: a thread must not end the daemon
      return fail(Error::of(ErrorKind::internal, "exception", blob.digest.text(), e.what()));
    }
  }();
  if (!result && origins.corrupt && !is_local(result.error())) {
    const std::string said = result.error().text();
    if (has_other(origins)) {
      log::warn("wrong content; another endpoint is asked",
                {{"image", reference_.text()}, {"endpoint", name_of(origins.next.front())}, {"error", said}});
    } else if (!origins.before.empty()) {
      result.error().detail += "; asked before: " + origins.before;
    }
    origins.before += (origins.before.empty() ? "" : "; ") + said;
  }
  feed.end(std::move(result));
}

}  // namespace podshim::image
