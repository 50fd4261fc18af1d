// The one file with OpenSSL.
#include <boost/asio/ssl.hpp>

#include "shim/streaming/socket.h"

namespace podshim::streaming {
namespace {

namespace ssl = asio::ssl;

class TlsSocket final : public Socket {
 public:
  TlsSocket(asio::io_context& io, Tcp::socket socket, ssl::context& context)
      : Socket(io), stream_(std::move(socket), context) {}

  void handshake(std::move_only_function<void(ErrorCode)> done) override {
    stream_.async_handshake(ssl::stream_base::server, std::move(done));
  }
  void read_some(asio::mutable_buffer into, Done done) override { stream_.async_read_some(into, std::move(done)); }
  void write_some(const WriteBuffers& from, Done done) override { stream_.async_write_some(from, std::move(done)); }
  // close_notify. The operation also waits for the peer's, at the longest until close().
  void end_output() override {
    stream_.async_shutdown([self = shared_from_this()](ErrorCode) {});
  }
  void close() override {
    ErrorCode ignored;
    stream_.lowest_layer().close(ignored);
  }
  int native() override { return stream_.lowest_layer().native_handle(); }

 private:
  ssl::stream<Tcp::socket> stream_;
};

class Context final : public TlsContext {
 public:
  ssl::context context{ssl::context::tls_server};
  std::shared_ptr<Socket> wrap(asio::io_context& io, Tcp::socket socket) override {
    return std::make_shared<TlsSocket>(io, std::move(socket), context);
  }
};

// `op` ends in the field of the configuration that names the file.
std::unexpected<Error> refused(const char* op, const std::string& file, const std::string& why) {
  return fail(Error::of(ErrorKind::invalid_argument, op, file, why));
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::load(const std::string& certificate, const std::string& key) {
  auto out = std::make_unique<Context>();
  ErrorCode error;
  out->context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1,
                           error);
  if (error) return refused("set up TLS for", certificate, error.message());
  out->context.use_certificate_chain_file(certificate, error);
  if (error) return refused("load tls-cert", certificate, error.message());
  // Without it OpenSSL asks whoever sits at the terminal for the passphrase.
  out->context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  if (!error) out->context.use_private_key_file(key, ssl::context::pem, error);
  const std::string why = error.message() + " (it has to be the key of tls-cert " + certificate + ", not encrypted)";
  if (error) return refused("load tls-key", key, why);
  // Loading compares a key with the certificate of its own kind alone: an RSA key beside an EC certificate passes.
  ::ERR_clear_error();
  if (::SSL_CTX_check_private_key(out->context.native_handle()) != 1)
    return refused("load tls-key", key, "is not the key of tls-cert " + certificate);
  return std::unique_ptr<TlsContext>(std::move(out));
}

}  // namespace podshim::streaming
