#include "tests/unit/shim-streaming/tls_wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <climits>
#include <csignal>

namespace podshim::streaming::test {

TlsWire::TlsWire(const std::string& url, const std::string& authority) : Wire(url) {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write(2)
  SSL_CTX* const context = ::SSL_CTX_new(::TLS_client_method());
  EXPECT_EQ(::SSL_CTX_load_verify_locations(context, authority.c_str(), nullptr), 1) << authority;
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ssl_ = ::SSL_new(context);
  ::SSL_CTX_free(context);  // ssl_ holds it
  EXPECT_EQ(::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_), "127.0.0.1"), 1);
  ::SSL_set_fd(ssl_, fd());
  for (ssize_t n = 0; (n = result(::SSL_connect(ssl_))) <= 0;) {
    pollfd p{.fd = fd(), .events = static_cast<short>(SSL_want_write(ssl_) ? POLLOUT : POLLIN), .revents = 0};
    if (n < 0 && errno == EAGAIN && ::poll(&p, 1, std::chrono::milliseconds(kPatience).count()) > 0) continue;
    const long verdict = ::SSL_get_verify_result(ssl_);
    refused_ = verdict != X509_V_OK ? ::X509_verify_cert_error_string(verdict) : "no handshake";
    return;
  }
}

TlsWire::~TlsWire() { ::SSL_free(ssl_); }

void TlsWire::half_close() { ::SSL_shutdown(ssl_); }

// What OpenSSL says, in the words of send(2) and recv(2).
ssize_t TlsWire::result(int rc) {
  if (rc > 0) return rc;
  const int error = ::SSL_get_error(ssl_, rc);
  ::ERR_clear_error();
  if (error == SSL_ERROR_ZERO_RETURN) ended_well_ = true;
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
  return -1;
}

ssize_t TlsWire::put(std::string_view bytes) {
  return result(::SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX))));
}

ssize_t TlsWire::get(char* into, std::size_t size) {
  return result(::SSL_read(ssl_, into, static_cast<int>(std::min<std::size_t>(size, INT_MAX))));
}

}  // namespace podshim::streaming::test
