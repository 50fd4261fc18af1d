// Channels: the five channels of an exec or attach session, whatever the transport: input, output, error output, the
// error stream (the session's end), and the terminal's size. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "shim/streaming/carrier.h"
#include "shim/streaming/protocols.h"
#include "shim/streaming/resize.h"
#include "shim/streaming/status_json.h"

namespace podshim::streaming {

enum class Channel { in, out, err, error, resize };  // in the order of WebSocket's channel numbers
inline constexpr int kChannels = 5;

class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;
  virtual void on_ready() = 0;  // the client has opened all that the request implies
  virtual void on_input(std::string_view bytes) = 0;
  virtual void on_input_end() = 0;
  virtual void on_resize(TerminalSize size) = 0;
  virtual void on_refused(Channel channel) = 0;  // the client takes no more of this one
  virtual void on_drained() = 0;
  virtual void on_gone(const std::string& why) = 0;
};

class Channels {
 public:
  virtual ~Channels() = default;  // cuts the connection when it is still there
  virtual void start(ChannelHandler* handler) = 0;
  virtual void write(Channel channel, std::string_view bytes) = 0;
  virtual void end(Channel channel) = 0;
  // Ends all channels, tells how the session ended, and closes; on_gone("") follows.
  virtual void finish(const Outcome& outcome) = 0;
  virtual std::string missing() const = 0;  // channels that the client has not opened, for a message
  virtual Carrier& carrier() = 0;
  virtual void abort() = 0;
};

std::unique_ptr<Channels> spdy_channels(std::shared_ptr<Carrier> carrier, const Protocol& protocol,
                                        const StreamRequest& request);
std::unique_ptr<Channels> websocket_channels(std::shared_ptr<Carrier> carrier, const Protocol& protocol,
                                             const StreamRequest& request);

}  // namespace podshim::streaming
