// TlsWire: a Wire with TLS, as a client that trusts one authority and wants the server to be who its address says.
#pragma once

#include "tests/unit/shim-streaming/client.h"

struct ssl_st;

namespace podshim::streaming::test {

class TlsWire final : public Wire {
 public:
  // `authority`: a PEM file. The handshake is made here; refused() says why it failed, "" = it did not.
  TlsWire(const std::string& url, const std::string& authority);
  ~TlsWire() override;
  TlsWire(const TlsWire&) = delete;
  TlsWire& operator=(const TlsWire&) = delete;
  const std::string& refused() const { return refused_; }
  bool ended_well() const { return ended_well_; }  // the server has said that it sends no more
  void half_close() override;

 private:
  ssize_t put(std::string_view bytes) override;
  ssize_t get(char* into, std::size_t size) override;
  ssize_t result(int rc);

  ssl_st* ssl_ = nullptr;
  std::string refused_;
  bool ended_well_ = false;
};

}  // namespace podshim::streaming::test
