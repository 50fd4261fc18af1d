// Any bytes as a layer: entries or an error, and never a path that leaves the layer. The reader decides where
// everything goes, so nothing is written here.
#include <cstdint>
#include <cstdlib>

#include "shim/image/layer_reader.h"

using namespace podshim::image;

static void check(const EntryPath& path) {
  std::string text = "/" + path.text() + "/";
  if (text.find("/../") != std::string::npos || text.find("/./") != std::string::npos ||
      text.find('\0') != std::string::npos || (!path.name.empty() && text.find("//") != std::string::npos) ||
      path.name.find('/') != std::string::npos) {
    std::abort();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto reader = LayerReader::open_bytes({reinterpret_cast<const char*>(data), size}, "fuzz", 1 << 22);
  if (!reader) return 0;
  for (int entries = 0; entries < 1000; entries++) {
    auto entry = reader->next();
    if (!entry || !*entry) break;
    check((*entry)->path);
    check((*entry)->link);
    for (const auto& [name, value] : (*entry)->xattrs) {
      if (!is_allowed_xattr(name)) std::abort();
    }
    while ((*entry)->kind == EntryKind::regular) {
      auto block = reader->data();
      if (!block) return 0;
      if (block->bytes.empty()) break;
    }
  }
  (void)reader->finish();
  return 0;
}
