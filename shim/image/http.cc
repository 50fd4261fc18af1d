#include "shim/image/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <optional>

namespace podshim::image {
namespace {

constexpr long kBuffer = 256L << 10;
constexpr long kSlowest = 4096;                  // bytes a second
constexpr long kConnectSeconds = 10;             // with the name's resolution
constexpr std::chrono::seconds kResolveTime{8};  // glibc asks the second name server after 5
constexpr std::size_t kMaxRefusal = 64UL << 10;  // of an answer that is not 2xx
constexpr std::size_t kMaxHeaders = 64UL << 10;
constexpr const char* kUserAgent = "podshim";

struct ListFree {
  void operator()(curl_slist* l) const { curl_slist_free_all(l); }
};
using List = std::unique_ptr<curl_slist, ListFree>;

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r' || s.back() == '\n'))
    s.remove_suffix(1);
  return s;
}

int retry_code(CURLcode code, bool resolved, bool reached) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
      return ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
      return reached ? ETIMEDOUT : resolved ? ECONNREFUSED : EHOSTUNREACH;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return EAGAIN;
    default:
      return 0;
  }
}

}  // namespace

struct HttpConnection::Handle {
  CURL* easy = nullptr;
  char text[CURL_ERROR_SIZE] = {};
  Handle() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    easy = curl_easy_init();
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { curl_easy_cleanup(easy); }
};

// One request under way: what the callbacks see.
struct HttpConnection::Transfer {
  const HttpRequest& request;
  HttpSink* sink;
  CURL* easy;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  bool resolved = false;
  HttpResponse response{};
  std::size_t header_bytes = 0;
  bool begun = false;
  bool cut = false;  // a refusal with more body than anybody reads
  std::optional<Error> failure{};

  bool ok() const { return response.status >= 200 && response.status < 300; }

  bool take_header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaders) {
      failure =
          Error::of(ErrorKind::unavailable, "read headers", request.url.authority(), "more than 64 KiB of headers");
      return false;
    }
    if (line.starts_with("HTTP/")) {  // of the final answer after "100 Continue" too
      response = {};
      auto space = line.find(' ');
      if (space != std::string_view::npos)
        std::from_chars(line.data() + space + 1, line.data() + line.size(), response.status);
      return true;
    }
    auto colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    std::string value(trimmed(line.substr(colon + 1)));
    auto [it, fresh] = response.headers.emplace(std::move(name), value);
    if (!fresh) it->second += ", " + value;
    return true;
  }

  Result<> take_body(std::string_view bytes) {
    if (sink != nullptr && (response.status == 200 || response.status == 206)) {
      if (!begun) TRY(sink->begin(response));
      begun = true;
      return sink->write(bytes);
    }
    const std::size_t limit = ok() ? request.body_limit : std::min(request.body_limit, kMaxRefusal);
    if (response.body.size() + bytes.size() > limit) {
      if (ok())
        return fail(Error::of(ErrorKind::unavailable, "read", request.url.authority(),
                              "an answer of more than " + std::to_string(request.body_limit) + " bytes"));
      bytes = bytes.substr(0, limit - response.body.size());
      cut = true;
    }
    response.body += bytes;
    return {};
  }

  static std::size_t on_header(char* data, std::size_t one, std::size_t size, void* self) {
    return static_cast<Transfer*>(self)->take_header({data, one * size}) ? one * size : 0;
  }
  static std::size_t on_body(char* data, std::size_t one, std::size_t size, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    auto taken = transfer->take_body({data, one * size});
    if (taken && !transfer->cut) return one * size;
    if (!taken) transfer->failure = std::move(taken).error();
    return CURL_WRITEFUNC_ERROR;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto* transfer = static_cast<Transfer*>(self);
    const auto* cancelled = transfer->request.cancelled;
    if (cancelled != nullptr && cancelled->load()) return 1;
    if (transfer->resolved || transfer->reached() || std::chrono::steady_clock::now() - transfer->since < kResolveTime)
      return 0;
    transfer->failure = no_name(transfer->request.url.authority(), "no name server has told its address for " +
                                                                       std::to_string(kResolveTime.count()) + " s");
    return 1;
  }
  // The first socket is made when there is an address for it.
  static int on_socket(void* self, curl_socket_t, curlsocktype) {
    static_cast<Transfer*>(self)->resolved = true;
    return CURL_SOCKOPT_OK;
  }
  static Error no_name(const std::string& host, std::string why) {
    Error error = Error::of(ErrorKind::unavailable, "resolve", host, std::move(why));
    error.code = EHOSTUNREACH;
    return error;
  }
  bool reached() const {  // connected, with TLS where that is spoken
    curl_off_t time = 0;
    return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &time) == CURLE_OK && time > 0;
  }
};

namespace {

void set_tls(CURL* easy, const TlsSettings& tls) {
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!tls.ca_file.empty())
    curl_easy_setopt(easy, CURLOPT_CAINFO, tls.ca_file.c_str());  // beside the system's directory
  if (!tls.cert_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_SSLCERT, tls.cert_file.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, tls.key_file.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls.insecure_skip_verify ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls.insecure_skip_verify ? 0L : 2L);
}

void set_limits(CURL* easy, const HttpRequest& request) {
  const long stall = std::max<long>(1, request.stall.count());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBuffer);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, std::min(stall, kConnectSeconds));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kSlowest);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, kUserAgent);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a resolver's thread that hangs is left to end by itself
}

void set_method(CURL* easy, const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  }
}

}  // namespace

HttpConnection::HttpConnection() : handle_(std::make_unique<Handle>()) {}
HttpConnection::~HttpConnection() = default;

Result<HttpResponse> HttpConnection::send(const HttpRequest& request, HttpSink* sink) {
  CURL* easy = handle_->easy;
  const std::string host = request.url.authority();
  if (easy == nullptr) return fail(Error::of(ErrorKind::internal, "start libcurl", host));
  curl_easy_reset(easy);  // keeps connections and TLS sessions
  Transfer transfer{.request = request, .sink = sink, .easy = easy};
  const std::string url = request.url.text();
  List headers;
  for (const auto& line : request.headers) {
    auto* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) return fail(Error::sys("send", host, {}, ENOMEM));
    if (!headers) headers.reset(longer);
  }
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  set_limits(easy, request);
  set_tls(easy, request.tls);
  set_method(easy, request);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle_->text);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, &Transfer::on_socket);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  handle_->text[0] = '\0';
  const CURLcode code = curl_easy_perform(easy);
  if (transfer.failure) return fail(*std::move(transfer.failure));
  if (code == CURLE_OK || transfer.cut) return std::move(transfer.response);
  if (code == CURLE_ABORTED_BY_CALLBACK) return fail(Error::of(ErrorKind::cancelled, "fetch", host));
  const char* said = handle_->text[0] != '\0' ? handle_->text : curl_easy_strerror(code);
  Error error = Error::of(ErrorKind::unavailable, "fetch", host, said);
  error.code = retry_code(code, transfer.resolved, transfer.reached());
  if (error.is(EHOSTUNREACH)) error.op = "resolve";
  return fail(std::move(error));
}

}  // namespace podshim::image
