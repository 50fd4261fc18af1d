// Registry: one repository at one endpoint (distribution-spec). Answers 401 by a token or Basic, once a pull; follows
// redirects itself: credentials and client certificates never leave the scheme, host and port they are for, HTTPS never
// becomes HTTP, ten hops at most. Any thread, each with its own HttpConnection; the token is shared.
//
// Errors: `unauthenticated`, `permission_denied`, `not_found`, else `unavailable`, whose `code` is as in http.h (5xx,
// 408 and 429 are EAGAIN). They name the endpoint, the status and what the registry said; never a secret or a query.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "shim/image/challenge.h"
#include "shim/image/digest.h"
#include "shim/image/http.h"
#include "shim/image/registries.h"

namespace podshim::image {

struct Resolved {
  Digest digest;
  std::string text;  // of the document; empty when only its digest is known
};

class Registry {
 public:
  // `registries` outlives it.
  static Result<std::unique_ptr<Registry>> open(Endpoint endpoint, const Registries& registries,
                                                std::chrono::seconds stall, const std::atomic<bool>* cancelled);

  // A tag or digest. HEAD (which registries do not count as a pull), and the document where that does not tell.
  Result<Resolved> resolve(HttpConnection& connection, const std::string& tag_or_digest);
  // Documents: checked against their digest.
  Result<std::string> manifest(HttpConnection& connection, const Digest& digest);
  Result<std::string> document(HttpConnection& connection, const Digest& digest);  // among the blobs
  // From `offset` on; the sink sees 206 or, from a registry without ranges, 200 and everything.
  Result<> blob(HttpConnection& connection, const Digest& digest, std::uint64_t offset, HttpSink& sink);

  const Endpoint& endpoint() const { return endpoint_; }
  bool knows(const std::string& host);  // host[:port] has answered since open(): it itself, or what it redirects to
  // How long a 429 or 503 asked to wait; forgotten when read.
  std::chrono::seconds take_retry_after();

 private:
  Registry(Endpoint endpoint, const Registries& registries) : endpoint_(std::move(endpoint)), registries_(registries) {}
  Url url(const std::string& kind, const std::string& name) const;
  Result<HttpResponse> get(HttpConnection& connection, HttpRequest request, HttpSink* sink);
  Result<HttpResponse> follow(HttpConnection& connection, HttpRequest request, const std::string& authorization,
                              HttpSink* sink, Url* answered);
  Result<std::string> authorize(HttpConnection& connection, const HttpResponse& response, const std::string& stale);
  Result<std::string> fetch_token(HttpConnection& connection, const Challenge& challenge);
  Result<Url> realm_of(const Challenge& challenge) const;
  Result<HttpResponse> fetch_manifest(HttpConnection& connection, const std::string& name);
  void note_retry_after(const HttpResponse& response);
  Error refused(const HttpResponse& response, const std::string& what) const;

  const Endpoint endpoint_;
  const Registries& registries_;
  Credentials credentials_;
  std::chrono::seconds stall_{30};
  const std::atomic<bool>* cancelled_ = nullptr;
  std::mutex mutex_;           // guards the next; held while a token is fetched, so that one is
  std::string authorization_;  // of the Authorization header
  std::mutex known_mutex_;     // guards the next
  std::set<std::string> known_;
  std::atomic<long> retry_after_ = 0;  // seconds
};

}  // namespace podshim::image
