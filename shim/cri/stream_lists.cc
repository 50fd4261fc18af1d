#include "shim/cri/stream_lists.h"

#include <optional>

#include "common/error.h"

namespace podshim::cri {
namespace {

constexpr char kField1 = 0x0a;  // number 1, length-delimited

// The length of the element at the beginning of `bytes`, tag and length included; nullopt: it is none.
std::optional<std::size_t> element(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != kField1) return std::nullopt;
  std::uint64_t length = 0;
  for (std::size_t at = 1; at < bytes.size() && at <= 5; at++) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    length |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * (at - 1));
    if ((byte & 0x80) != 0) continue;
    if (length > bytes.size() - at - 1) return std::nullopt;
    return at + 1 + length;
  }
  return std::nullopt;
}

class CutList final : public MessageSource {
 public:
  CutList(std::string answer, std::size_t message_bytes) : answer_(std::move(answer)), message_bytes_(message_bytes) {}

  Result<Next> next(std::string* message) override {
    const std::string_view rest = std::string_view(answer_).substr(at_);
    if (rest.empty()) return Next::end;
    std::size_t size = 0;
    while (size < rest.size()) {
      const auto length = element(rest.substr(size));
      if (!length) return fail(Error::of(ErrorKind::internal, "cut list", "byte " + std::to_string(at_ + size)));
      if (size != 0 && size + *length > message_bytes_) break;
      size += *length;
    }
    message->assign(rest.substr(0, size));
    at_ += size;
    return Next::message;
  }

 private:
  const std::string answer_;
  const std::size_t message_bytes_;
  std::size_t at_ = 0;
};

}  // namespace

std::unique_ptr<MessageSource> cut_list(std::string answer, std::size_t message_bytes) {
  return std::make_unique<CutList>(std::move(answer), message_bytes);
}

}  // namespace podshim::cri
