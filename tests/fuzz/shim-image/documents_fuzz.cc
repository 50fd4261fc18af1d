// Any text as each of the JSON documents and records of images: a value or an error, and what is a value reads back.
#include <cstdint>
#include <cstdlib>

#include "shim/image/catalog.h"
#include "shim/image/layer_dir.h"
#include "shim/image/manifest.h"
#include "shim/image/reference.h"

using namespace podshim::image;

static void must(bool ok) {
  if (!ok) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)document_kind(text);
  if (auto index = decode_index(text)) (void)choose(*index, host_platform());
  if (auto manifest = decode_manifest(text)) {
    auto again = decode_manifest(encode_manifest(*manifest));
    must(again && encode_manifest(*again) == encode_manifest(*manifest));
  }
  (void)decode_config(text);
  (void)decode_docker_archive(text);
  if (auto layer = decode_layer(text)) must(decode_layer(encode_layer(*layer)).has_value());
  Record record{.id = Digest::of("id").text(), .text = std::string(text)};
  if (auto image = decode_record(record)) {
    auto again = decode_record({record.id, encode_record(*image)});
    must(again && encode_record(*again) == encode_record(*image));
    auto change = Catalog().add({*image});
    for (const auto& [tag, target] : image->tags) must(change.next.find(tag) != nullptr);
    must(change.next.remove(record.id).next.images().empty());
  }
  if (auto ref = parse_reference(text)) {
    auto again = parse_reference(ref->text());
    must(again && *again == *ref);
  }
  return 0;
}
