// HttpConnection: requests over libcurl, one at a time, the connection kept between them. Decides nothing: redirects
// are answers, credentials are headers that the caller sets. Not thread-safe; one per thread.
//
// Errors are ErrorKind::unavailable; `code` says what the caller may do: EHOSTUNREACH (the name is not known, or nobody
// told within 8 s: ask elsewhere), ECONNREFUSED (nobody was reached, nothing was sent: ask elsewhere or again), EAGAIN
// (it broke off: again), ETIMEDOUT (less than 4 KiB/s for `stall`: again), 0 (TLS or protocol: again is of no use).
// ErrorKind::cancelled when `cancelled` was set. What a sink says is passed on.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/image/registries.h"
#include "shim/image/url.h"

namespace podshim::image {

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD or POST
  Url url;
  std::vector<std::string> headers;  // "Accept: text/plain"
  std::string body;                  // of a POST
  TlsSettings tls;
  std::chrono::seconds stall{30};
  std::size_t body_limit =
      64UL << 10;  // of an answer without a sink; longer is an error with 2xx, else cut at 64 KiB at most
  const std::atomic<bool>* cancelled = nullptr;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; several of one name joined by ", "
  std::string body;                            // empty when it went to the sink
  std::string header(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

// Takes the body of a 200 or 206.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  virtual Result<> begin(const HttpResponse& response) = 0;
  virtual Result<> write(std::string_view bytes) = 0;
};

class HttpConnection {
 public:
  HttpConnection();
  ~HttpConnection();
  Result<HttpResponse> send(const HttpRequest& request, HttpSink* sink = nullptr);

 private:
  struct Transfer;
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace podshim::image
