// Channel messages over WebSocket: a byte with the channel's number, then the content; with base64 a digit, then the
// content in base64. Messages come in pieces and are passed on as such. Pure; one thread.
#pragma once

#include <string>
#include <string_view>

#include "shim/streaming/base64.h"

namespace podshim::streaming {

inline constexpr int kCloseChannel = 255;  // v5: the content is the number of the channel that has ended

std::string channel_message(bool base64, int channel, std::string_view bytes);

class MessageDecoder {
 public:
  explicit MessageDecoder(bool base64) : base64_(base64) {}
  struct Piece {
    int channel = -1;        // -1: nothing yet
    std::string_view bytes;  // valid until the next call
  };
  // `last`: the message ends with these bytes. false in *ok: not in the protocol.
  Piece feed(std::string_view bytes, bool last, bool* ok);

 private:
  const bool base64_;
  int channel_ = -1;
  Base64Decoder decoder_;
  std::string decoded_;
};

}  // namespace podshim::streaming
