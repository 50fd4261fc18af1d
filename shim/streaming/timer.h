// Timer: one pending call on the loop. Its function never runs after cancel() or the destructor. Loop thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace podshim::streaming {

class Timer {
 public:
  explicit Timer(boost::asio::io_context& io) : timer_(io) {}

  void after(std::chrono::milliseconds delay, std::function<void()> function) {
    cancel();
    armed_ = std::make_shared<std::function<void()>>(std::move(function));
    timer_.expires_after(delay);
    timer_.async_wait([weak = std::weak_ptr(armed_)](const boost::system::error_code&) {
      // A cancelled wait may be queued already: the weak pointer tells.
      if (const auto armed = weak.lock()) (*armed)();
    });
  }
  void cancel() {
    if (!armed_) return;
    armed_.reset();
    timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  std::shared_ptr<std::function<void()>> armed_;
};

}  // namespace podshim::streaming
