// Program -> bytes. The blob: {u32 length, bytes, NUL} per text or list, each length aligned to four bytes.
#include <cstring>

#include "shim/plan/program.h"

namespace podshim {
namespace {

class Blob {
 public:
  std::uint32_t add(const std::string& text) {
    if (text.empty()) return 0;
    std::uint32_t offset = start(text.size());
    bytes_.append(text).push_back('\0');
    return offset;
  }
  std::uint32_t add(const std::vector<std::string>& list) {
    if (list.empty()) return 0;
    std::size_t size = 0;
    for (const auto& item : list) size += item.size() + 1;
    std::uint32_t offset = start(size);
    for (const auto& item : list) bytes_.append(item).push_back('\0');
    return offset;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::uint32_t start(std::size_t length) {
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
    auto offset = static_cast<std::uint32_t>(bytes_.size());
    auto word = static_cast<std::uint32_t>(length);
    bytes_.append(reinterpret_cast<const char*>(&word), sizeof word);
    return offset;
  }
  std::string bytes_ = std::string(4, '\0');  // offset 0 means none
};

WireStep to_wire(const ProgramStep& s, Blob& blob) {
  WireStep w{.op = s.op, .flags = s.flags, .slot = s.slot, .x = s.x, .y = s.y, .z = s.z, .w = s.w};
  if (s.op == Op::exec || s.op == Op::exec_fd) {
    w.a = blob.add(s.la);
    w.b = blob.add(s.lb);
    w.c = blob.add(s.lc);
    w.a_count = static_cast<std::uint32_t>(s.la.size());
    w.b_count = static_cast<std::uint32_t>(s.lb.size());
    w.c_count = static_cast<std::uint32_t>(s.lc.size());
  } else {
    w.a = blob.add(s.a);
    w.b = blob.add(s.b);
  }
  return w;
}

}  // namespace

std::string Program::encode() const {
  Blob blob;
  std::string wire;
  wire.reserve(steps.size() * sizeof(WireStep));
  for (const auto& step : steps) {
    WireStep w = to_wire(step, blob);
    wire.append(reinterpret_cast<const char*>(&w), sizeof w);
  }
  std::string bytes = blob.take();
  ProgramHeader header{.steps = static_cast<std::uint32_t>(steps.size()),
                       .blob_bytes = static_cast<std::uint32_t>(bytes.size())};
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out + wire + bytes;
}

}  // namespace podshim
