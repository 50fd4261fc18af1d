#include "shim/metrics/http.h"

#include <pthread.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <thread>

#include "common/log.h"

namespace podshim {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using beast::error_code;

constexpr std::size_t kRequestBytes = 8 << 10;
constexpr std::chrono::milliseconds kNoDescriptor{100};

using Response = http::response<http::string_body>;

Response answer(const http::request<http::empty_body>& request, const std::function<std::string()>& text) {
  Response out{http::status::ok, request.version()};
  out.keep_alive(request.keep_alive());
  const bool head = request.method() == http::verb::head;
  out.set(http::field::content_type, "text/plain; charset=utf-8");
  if (request.method() != http::verb::get && !head) {
    out.result(http::status::method_not_allowed);
    out.set(http::field::allow, "GET, HEAD");
    out.keep_alive(false);  // what else it sent is not read
  } else if (request.target() != "/metrics") {
    out.result(http::status::not_found);
    out.body() = "metrics are at /metrics\n";
  } else {
    out.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    out.body() = text();
  }
  out.prepare_payload();
  if (head) out.body().clear();
  return out;
}

// One connection: request, answer, request... It lives as long as something is under way for it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const std::function<std::string()>& text, std::shared_ptr<const int> count)
      : stream_(std::move(socket)), text_(text), count_(std::move(count)) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(kRequestBytes);
    parser_->body_limit(0);
    stream_.expires_after(MetricsServer::kPatience);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (!error) self->write();
    });
  }

 private:
  void write() {
    response_ = answer(parser_->get(), text_);
    serializer_.emplace(response_);
    stream_.expires_after(MetricsServer::kPatience);
    http::async_write(stream_, *serializer_, [self = shared_from_this()](error_code error, std::size_t) {
      if (!error && self->response_.keep_alive()) return self->read();
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    });
  }

  beast::tcp_stream stream_;
  const std::function<std::string()>& text_;
  const std::shared_ptr<const int> count_;  // as many owners as connections, and the server
  beast::flat_buffer buffer_{kRequestBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
};

Error network_error(const char* what, const std::string& where, const error_code& error) {
  return Error::sys(what, where, {}, error.value());
}

class BeastServer final : public MetricsServer {
 public:
  explicit BeastServer(std::function<std::string()> text) : text_(std::move(text)) {}
  ~BeastServer() override {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Result<> open(const IpAddress& address, std::uint16_t port) {
    const std::string where = address.str() + " port " + std::to_string(port);
    error_code error;
    const tcp::endpoint at(asio::ip::make_address(address.str(), error), port);
    if (error) return fail(network_error("parse address", where, error));
    if (acceptor_.open(at.protocol(), error)) return fail(network_error("socket", where, error));
    if (acceptor_.set_option(asio::socket_base::reuse_address(true), error))
      return fail(network_error("setsockopt", where, error));
    if (acceptor_.bind(at, error)) return fail(network_error("bind", where, error));
    if (acceptor_.listen(asio::socket_base::max_listen_connections, error))
      return fail(network_error("listen", where, error));
    port_ = acceptor_.local_endpoint(error).port();
    accept();
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "metrics-http");
      try {
        context_.run();
      } catch (const std::exception& e) {
        log::error("metrics are not served any more", {{"what", e.what()}});
      }
    });
    return {};
  }
  std::uint16_t port() const override { return port_; }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) {  // no descriptor: not in a hot loop
        pause_.expires_after(kNoDescriptor);
        pause_.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      if (static_cast<std::size_t>(count_.use_count()) <= kConnections)
        std::make_shared<Connection>(std::move(socket), text_, count_)->read();
      accept();  // one too many is closed here
    });
  }

  const std::function<std::string()> text_;
  const std::shared_ptr<const int> count_ = std::make_shared<const int>(0);
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(const IpAddress& address, std::uint16_t port,
                                                            std::function<std::string()> text) try {
  auto server = std::make_unique<BeastServer>(std::move(text));
  TRY(server->open(address, port));
  return server;
} catch (const std::exception& e) {  // the library's and the thread's, for want of descriptors
  return fail(Error::of(ErrorKind::internal, "serve metrics", address.str(), e.what()));
}

}  // namespace podshim
