// Any text as an object: the decoders refuse or give a value that survives being encoded and decoded again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/kube/endpoint_slice.h"

using namespace podshim;

template <typename T>
static void round_trip(const json::Reader& reader, Result<T> (*decode)(const json::Reader&, kube::Unknowns&),
                       json::Value (*encode)(const T&)) {
  kube::Unknowns unknowns;
  auto value = decode(reader, unknowns);
  if (!value) return;
  auto encoded = encode(*value);
  auto again_reader = json::Reader::of(encoded);
  auto again = decode(*again_reader, unknowns);
  if (!again || *again != *value) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto document = json::parse({reinterpret_cast<const char*>(data), size});
  if (!document) return 0;
  auto reader = json::Reader::of(*document, "", "fuzz");
  if (!reader) return 0;
  round_trip(*reader, kube::decode_service, kube::encode_service);
  round_trip(*reader, kube::decode_endpoint_slice, kube::encode_endpoint_slice);
  return 0;
}
