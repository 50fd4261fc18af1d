// Forward: one connection to a port inside a Pod, for one of a client's port-forward connections. Loop thread.
//
// It is dialled on another thread. What the client sends meanwhile is kept. Each half ends by itself; on_pod_over() is
// the end of both, or of a connection that failed (`error`), and the last call.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shim/streaming/pump.h"
#include "shim/streaming/session.h"

namespace podshim::streaming {

class ForwardOwner {
 public:
  virtual ~ForwardOwner() = default;
  virtual void on_pod_bytes(std::uint32_t key, std::string_view bytes) = 0;
  virtual void on_pod_end(std::uint32_t key) = 0;  // the Pod sends no more
  // `dialled`: it was connected. error: "" when both halves ended well.
  virtual void on_pod_over(std::uint32_t key, bool dialled, const std::string& error) = 0;
  virtual void on_room() = 0;  // buffered() has fallen
};

class Forward : public std::enable_shared_from_this<Forward> {
 public:
  Forward(const SessionContext& context, ForwardOwner& owner, std::uint32_t key, std::string sandbox,
          std::uint16_t port)
      : context_(context), owner_(&owner), key_(key), sandbox_(std::move(sandbox)), port_(port) {}
  ~Forward() { close(); }

  void dial();
  void write(std::string_view bytes);
  void end();  // the client sends no more
  void set_reading(bool on);
  std::size_t buffered() const;  // bytes that the Pod has not taken
  void close();                  // the owner hears nothing any more
  std::uint16_t port() const { return port_; }

 private:
  void dialled(Result<Fd> connection);
  void shut_output();
  void over(const std::string& error);
  void over_if_both();

  const SessionContext& context_;
  ForwardOwner* owner_;
  const std::uint32_t key_;
  const std::string sandbox_;
  const std::uint16_t port_;
  Fd connection_;  // the third descriptor, for shutdown(2)
  std::shared_ptr<Reader> reader_;
  std::shared_ptr<Writer> writer_;
  std::string early_;
  bool dialled_ = false, ended_ = false, in_over_ = false, out_over_ = false, reading_ = true;
};

}  // namespace podshim::streaming
