// The one file with Beast's HTTP.
#include "shim/streaming/http_upgrade.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>

namespace podshim::streaming {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kSpdy = "SPDY/3.1";
constexpr std::string_view kProtocolHeader = "X-Stream-Protocol-Version";

std::unexpected<Error> bad(std::string why) { return fail(Error::invalid("request", std::move(why))); }

bool same_word(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// The words of a header that may be there several times, or hold a list.
std::vector<std::string> words(const http::fields& fields, std::string_view name) {
  std::vector<std::string> out;
  const auto range = fields.equal_range({name.data(), name.size()});
  for (auto it = range.first; it != range.second; ++it) {
    std::string_view rest(it->value().data(), it->value().size());
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      auto word = rest.substr(0, comma);
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
      while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
      while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
      if (!word.empty()) out.emplace_back(word);
    }
  }
  return out;
}

bool has_word(const http::fields& fields, std::string_view name, std::string_view wanted) {
  for (const auto& word : words(fields, name))
    if (same_word(word, wanted)) return true;
  return false;
}

}  // namespace

std::optional<std::size_t> header_length(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

Result<UpgradeRequest> parse_upgrade(std::string_view header) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxRequestHeader);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(header.data(), header.size()), error);
  if (!parser.is_header_done())
    return bad(error && error != http::error::need_more ? error.message() : "has no whole header");
  if (parser.chunked() || parser.content_length().value_or(0) != 0) return bad("has a body");
  const auto& request = parser.get();
  UpgradeRequest out{.method = std::string(request.method_string())};
  const std::string target(request.target());
  out.path = target.substr(0, target.find('?'));
  if (has_word(request, "Connection", "upgrade")) {
    out.spdy = has_word(request, "Upgrade", kSpdy);
    out.websocket = !out.spdy && has_word(request, "Upgrade", "websocket");
  }
  out.spdy_protocols = words(request, kProtocolHeader);
  out.socket_protocols = words(request, "Sec-WebSocket-Protocol");
  return out;
}

std::string refusal(int status, const std::string& text) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason) +
         "\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
         "Content-Length: " +
         std::to_string(text.size() + 1) + "\r\n\r\n" + text + "\n";
}

std::string switching_to_spdy(const std::string& protocol) {
  std::string out = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ";
  out.append(kSpdy).append("\r\n");
  if (!protocol.empty()) out.append(kProtocolHeader).append(": ").append(protocol).append("\r\n");
  return out.append("\r\n");
}

}  // namespace podshim::streaming
