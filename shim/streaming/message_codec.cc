#include "shim/streaming/message_codec.h"

namespace podshim::streaming {

std::string channel_message(bool base64, int channel, std::string_view bytes) {
  std::string out(1, static_cast<char>(base64 ? '0' + channel : channel));
  return base64 ? out.append(base64_encode(bytes)) : out.append(bytes);
}

MessageDecoder::Piece MessageDecoder::feed(std::string_view bytes, bool last, bool* ok) {
  *ok = true;
  Piece out;
  if (channel_ < 0 && !bytes.empty()) {
    const int number = static_cast<unsigned char>(bytes.front());
    channel_ = base64_ ? number - '0' : number;
    *ok = channel_ >= 0;
    bytes.remove_prefix(1);
  }
  out.channel = channel_;
  out.bytes = bytes;
  if (base64_) {
    decoded_.clear();
    *ok = *ok && decoder_.feed(bytes, &decoded_);
    out.bytes = decoded_;
  }
  if (last) {
    channel_ = -1;
    if (base64_ && !decoder_.end()) *ok = false;
  }
  return out;
}

}  // namespace podshim::streaming
