#include "shim/image/registry.h"

#include <algorithm>
#include <charconv>

#include "common/json.h"
#include "shim/image/manifest.h"

namespace podshim::image {
namespace {

constexpr int kMaxHops = 10;
constexpr long kLongestWait = 60;  // seconds

constexpr const char* kAcceptManifest =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string out;
  for (char c : text.substr(0, kLongest)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return out;
}

// {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
std::string what_it_said(const HttpResponse& response) {
  auto document = json::parse(response.body);
  if (!document) return "";
  auto r = json::Reader::of(*document);
  auto errors = r ? r->objects("errors") : fail(std::move(r).error());
  if (!errors || errors->empty()) return "";
  auto code = errors->front().string_or("code", ""), message = errors->front().string_or("message", "");
  return printable((code ? *code : "") + (message && !message->empty() ? ": " + *message : ""));
}

Error wrong_content(const Url& url, const std::string& what, const Digest& want, const Digest& got) {
  return Error::of(ErrorKind::failed_precondition, "verify", what,
                   url.authority() + " sent content with " + got.text() + " instead of " + want.text());
}

// A login page of a proxy is the usual reason for a manifest that is none.
Result<> check_type(const HttpResponse& response, const Url& url) {
  if (!response.header("content-type").starts_with("text/html")) return {};
  return fail(Error::of(ErrorKind::unavailable, "read manifest", url.authority(),
                        "it sent a web page instead of a manifest: a proxy's or login page? check the endpoint"));
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(Endpoint endpoint, const Registries& registries,
                                                 std::chrono::seconds stall, const std::atomic<bool>* cancelled) {
  std::unique_ptr<Registry> self(new Registry(std::move(endpoint), registries));
  self->credentials_ = TRY(decode_credentials(self->endpoint_.auth));
  self->stall_ = stall;
  self->cancelled_ = cancelled;
  if (!self->credentials_.registry_token.empty()) self->authorization_ = "Bearer " + self->credentials_.registry_token;
  return self;
}

Url Registry::url(const std::string& kind, const std::string& name) const {
  Url out = endpoint_.base;
  out.path += "/" + endpoint_.repository + "/" + kind + "/" + name;
  if (!endpoint_.ns.empty()) out.query = "ns=" + query_escape(endpoint_.ns);  // for mirrors of several registries
  return out;
}

Result<HttpResponse> Registry::follow(HttpConnection& connection, HttpRequest request, const std::string& authorization,
                                      HttpSink* sink, Url* answered) {
  const Url first = request.url;
  const std::vector<std::string> headers = request.headers;
  for (int hop = 0; hop <= kMaxHops; hop++) {
    request.headers = headers;
    if (!authorization.empty() && request.url.origin() == first.origin())
      request.headers.push_back("Authorization: " + authorization);
    request.tls = registries_.settings(request.url).tls;
    auto response = TRY(connection.send(request, sink));
    {
      std::lock_guard lock(known_mutex_);
      known_.insert(request.url.authority());
    }
    *answered = request.url;
    if (!is_redirect(response.status) || response.header("location").empty()) return response;
    auto next = resolve_location(request.url, response.header("location"));
    if (!next)
      return fail(Error::of(ErrorKind::unavailable, "follow redirect", request.url.authority(), next.error().detail));
    if (next->plain() && !request.url.plain())
      return fail(Error::of(ErrorKind::unavailable, "follow redirect", request.url.authority(),
                            "from HTTPS to plain HTTP at " + next->authority()));
    request.url = *std::move(next);
  }
  return fail(
      Error::of(ErrorKind::unavailable, "follow redirect", first.authority(), "more than ten redirects: a loop?"));
}

Result<HttpResponse> Registry::get(HttpConnection& connection, HttpRequest request, HttpSink* sink) {
  request.stall = stall_;
  request.cancelled = cancelled_;
  std::string authorization = [&] {
    std::lock_guard lock(mutex_);
    return authorization_;
  }();
  Url answered;
  auto response = TRY(follow(connection, request, authorization, sink, &answered));
  // A 401 of another host is its own affair: nobody gets our credentials for asking.
  if (response.status == 401 && answered.origin() == request.url.origin()) {
    std::string fresh = TRY(authorize(connection, response, authorization));
    if (!fresh.empty()) response = TRY(follow(connection, request, fresh, sink, &answered));
  }
  note_retry_after(response);
  return response;
}

// What to send after a 401; "" when there is nothing new to try.
Result<std::string> Registry::authorize(HttpConnection& connection, const HttpResponse& response,
                                        const std::string& stale) {
  std::lock_guard lock(mutex_);
  if (authorization_ != stale) return authorization_;  // another thread was faster
  if (!credentials_.registry_token.empty()) return std::string();
  const auto challenges = parse_challenges(response.header("www-authenticate"));
  for (const auto& challenge : challenges) {
    if (challenge.scheme != "bearer") continue;
    return authorization_ = "Bearer " + TRY(fetch_token(connection, challenge));
  }
  for (const auto& challenge : challenges) {
    if (challenge.scheme != "basic" || !credentials_.basic()) continue;
    std::string basic = basic_authorization(credentials_);
    if (basic == stale) return std::string();
    return authorization_ = basic;
  }
  return std::string();
}

// Credentials go to the realm: HTTPS, or the plain host that somebody configured to be asked in plain.
Result<Url> Registry::realm_of(const Challenge& challenge) const {
  Url realm = TRY_IN(parse_url(challenge.parameter("realm")), "read the realm of " + endpoint_.base.authority());
  if (realm.plain() && !(endpoint_.base.plain() && realm.host == endpoint_.base.host)) {
    return fail(Error::of(ErrorKind::unavailable, "get token", endpoint_.base.authority(),
                          "its token service " + realm.authority() + " is plain HTTP: no credentials go there"));
  }
  return realm;
}

Result<std::string> Registry::fetch_token(HttpConnection& connection, const Challenge& challenge) {
  HttpRequest request{
      .url = TRY(realm_of(challenge)), .stall = stall_, .body_limit = 1UL << 20, .cancelled = cancelled_};
  const std::string service = challenge.parameter("service");
  std::string scope = challenge.parameter("scope"), authorization;
  if (scope.empty()) scope = "repository:" + endpoint_.repository + ":pull";
  std::string query = "service=" + query_escape(service) + "&scope=" + query_escape(scope);
  Url answered;
  HttpResponse response;
  if (!credentials_.identity_token.empty()) {
    request.method = "POST";
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body =
        "grant_type=refresh_token&client_id=podshim&refresh_token=" + query_escape(credentials_.identity_token) + "&" +
        query;
    request.tls = registries_.settings(request.url).tls;
    response = TRY(connection.send(request));  // no redirect: the secret is in the body
  } else {
    if (credentials_.basic()) {
      authorization = basic_authorization(credentials_);
      query += "&account=" + query_escape(credentials_.username);
    }
    request.url.query += (request.url.query.empty() ? "" : "&") + query;
    response = TRY(follow(connection, request, authorization, nullptr, &answered));
  }
  const std::string who = "the token service " + request.url.authority();
  if (response.status != 200) {
    note_retry_after(response);
    return fail(refused(response, who));
  }
  auto token = decode_token(response.body);
  if (!token)
    return fail(
        Error::of(ErrorKind::unavailable, "get token", endpoint_.base.authority(), who + ": " + token.error().text()));
  return token;
}

void Registry::note_retry_after(const HttpResponse& response) {
  if (response.status != 429 && response.status != 503) return;
  const std::string text = response.header("retry-after");
  long seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  retry_after_ = std::clamp(seconds, 0L, kLongestWait);
}

bool Registry::knows(const std::string& host) {
  std::lock_guard lock(known_mutex_);
  return known_.contains(host);
}

std::chrono::seconds Registry::take_retry_after() { return std::chrono::seconds(retry_after_.exchange(0)); }

Error Registry::refused(const HttpResponse& response, const std::string& what) const {
  const std::string host = endpoint_.base.authority();
  std::string said = what_it_said(response);
  std::string text = what + " answered " + std::to_string(response.status) + (said.empty() ? "" : " (" + said + ")");
  auto error = [&](ErrorKind kind, const std::string& advice, int code = 0) {
    Error e = Error::of(kind, "ask registry", host, text + (advice.empty() ? "" : ": " + advice));
    e.code = code;
    return e;
  };
  const std::string where = "a pull secret, or configs.\"" + host + "\".auth in registries.yaml";
  switch (response.status) {
    case 401:
      return error(ErrorKind::unauthenticated, credentials_.empty()
                                                   ? "there is no such image, or it needs credentials: " + where
                                                   : "the credentials are not accepted: check " + where);
    case 403:
      return error(ErrorKind::permission_denied, "the credentials do not allow to pull it");
    case 404:
      return error(ErrorKind::not_found, "no such repository, tag or digest there");
    case 429:
      return error(ErrorKind::unavailable, "too many requests: wait, or log in for a higher limit", EAGAIN);
    case 408:
      return error(ErrorKind::unavailable, "", EAGAIN);
    default:
      return error(ErrorKind::unavailable, "", response.status >= 500 ? EAGAIN : 0);
  }
}

Result<HttpResponse> Registry::fetch_manifest(HttpConnection& connection, const std::string& name) {
  HttpRequest request{.url = url("manifests", name), .headers = {kAcceptManifest}, .body_limit = kMaxDocument};
  auto response = TRY_IN(get(connection, request, nullptr), "get manifest " + name);
  if (response.status != 200) return fail(refused(response, "manifest " + name));
  TRY(check_type(response, endpoint_.base));
  return response;
}

Result<Resolved> Registry::resolve(HttpConnection& connection, const std::string& name) {
  HttpRequest request{.method = "HEAD", .url = url("manifests", name), .headers = {kAcceptManifest}};
  auto head = TRY_IN(get(connection, request, nullptr), "look up " + name);
  if (head.status == 401 || head.status == 403 || head.status == 404 || head.status == 429)
    return fail(refused(head, "manifest " + name));
  if (head.status == 200) {
    auto digest = Digest::parse(head.header("docker-content-digest"));
    auto asked = Digest::parse(name);
    if (digest && (!asked || *asked == *digest)) return Resolved{*digest, ""};
  }
  auto response = TRY(fetch_manifest(connection, name));
  Resolved out{Digest::of(response.body), std::move(response.body)};
  if (auto asked = Digest::parse(name); asked && *asked != out.digest)
    return fail(wrong_content(endpoint_.base, "manifest " + name, *asked, out.digest));
  return out;
}

Result<std::string> Registry::manifest(HttpConnection& connection, const Digest& digest) {
  auto response = TRY(fetch_manifest(connection, digest.text()));
  if (Digest got = Digest::of(response.body); got != digest)
    return fail(wrong_content(endpoint_.base, "manifest " + digest.text(), digest, got));
  return std::move(response.body);
}

Result<std::string> Registry::document(HttpConnection& connection, const Digest& digest) {
  HttpRequest request{.url = url("blobs", digest.text()), .body_limit = kMaxDocument};
  auto response = TRY_IN(get(connection, request, nullptr), "get config " + digest.text());
  if (response.status != 200) return fail(refused(response, "config " + digest.text()));
  if (Digest got = Digest::of(response.body); got != digest)
    return fail(wrong_content(endpoint_.base, "config " + digest.text(), digest, got));
  return std::move(response.body);
}

Result<> Registry::blob(HttpConnection& connection, const Digest& digest, std::uint64_t offset, HttpSink& sink) {
  HttpRequest request{.url = url("blobs", digest.text())};
  if (offset > 0) request.headers = {"Range: bytes=" + std::to_string(offset) + "-"};
  auto response = TRY_IN(get(connection, request, &sink), "get layer " + digest.text());
  if (response.status == 200 || response.status == 206) return {};
  return fail(refused(response, "layer " + digest.text()));
}

}  // namespace podshim::image
