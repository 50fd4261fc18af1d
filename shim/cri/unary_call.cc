#include "shim/cri/unary_call.h"

#include <curl/curl.h>

#include <charconv>
#include <memory>
#include <optional>

#include "common/status_code.h"
#include "shim/cri/grpc_wire.h"

namespace podshim::cri {
namespace {

struct Answer {
  std::string body, message;  // grpc-message as it came
  std::optional<int> status{};
};

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* answer) {
  static_cast<Answer*>(answer)->body.append(bytes, size * count);
  return size * count;
}

// Headers and trailers alike, one a call.
std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* to) {
  auto& answer = *static_cast<Answer*>(to);
  std::string_view line(bytes, size * count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  constexpr std::string_view kStatus = "grpc-status: ", kMessage = "grpc-message: ";
  if (line.starts_with(kStatus)) {
    line.remove_prefix(kStatus.size());
    int code = 0;
    if (std::from_chars(line.begin(), line.end(), code).ec == std::errc()) answer.status = code;
  } else if (line.starts_with(kMessage)) {
    answer.message = line.substr(kMessage.size());
  }
  return size * count;
}

struct EasyFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyFree>;
using List = std::unique_ptr<curl_slist, ListFree>;

Error no_answer(CURLcode code, const std::string& socket) {
  if (code == CURLE_OPERATION_TIMEDOUT)
    return Error::of(ErrorKind::deadline_exceeded, "no answer from podshim on", socket);
  return Error::of(ErrorKind::unavailable, "no podshim answers on", socket, curl_easy_strerror(code));
}

Result<std::string> message_of(const Answer& answer, const std::string& socket) {
  if (!answer.status)
    return fail(Error::of(ErrorKind::internal, "no gRPC on", socket, "the answer has no grpc-status"));
  const auto code = static_cast<Code>(*answer.status);
  if (code != Code::ok) return fail(Error::of(kind_of(code), "podshim on", socket, percent_decoded(answer.message)));
  const auto message = only_message(answer.body);
  if (!message) return fail(Error::of(ErrorKind::internal, "podshim on", socket, message.error().message));
  return std::string(*message);
}

}  // namespace

Result<std::string> unary_call(const std::string& socket, std::string_view method, const std::string& message,
                               std::chrono::seconds timeout) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Easy easy(ready == CURLE_OK ? curl_easy_init() : nullptr);
  List headers(curl_slist_append(nullptr, "content-type: application/grpc"));
  if (headers) (void)curl_slist_append(headers.get(), "te: trailers");
  if (!easy || !headers) return fail(Error::of(ErrorKind::internal, "start libcurl", socket));
  const std::string url = "http://localhost" + std::string(method), body = framed(message);
  Answer answer;
  CURLcode set = CURLE_OK;
  const auto option = [&](CURLoption name, auto value) {
    if (set == CURLE_OK) set = curl_easy_setopt(easy.get(), name, value);
  };
  option(CURLOPT_URL, url.c_str());
  option(CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
  option(CURLOPT_PROXY, "");
  option(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
  option(CURLOPT_HTTPHEADER, headers.get());
  option(CURLOPT_POSTFIELDS, body.data());
  option(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  option(CURLOPT_TIMEOUT_MS, static_cast<long>(std::chrono::milliseconds(timeout).count()));
  option(CURLOPT_NOSIGNAL, 1L);
  option(CURLOPT_WRITEFUNCTION, take_body);
  option(CURLOPT_WRITEDATA, &answer);
  option(CURLOPT_HEADERFUNCTION, take_header);
  option(CURLOPT_HEADERDATA, &answer);
  if (set != CURLE_OK) return fail(Error::invalid("socket", "\"" + socket + "\": " + curl_easy_strerror(set)));
  if (const auto code = curl_easy_perform(easy.get()); code != CURLE_OK) return fail(no_answer(code, socket));
  return message_of(answer, socket);
}

}  // namespace podshim::cri
