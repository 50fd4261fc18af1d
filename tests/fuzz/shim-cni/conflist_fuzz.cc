// What the CNI client reads of others: the configuration of the node and the answers of plugins.
#include <cstdint>
#include <string>

#include "shim/cni_client/conflist.h"
#include "shim/cni_client/result.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)podshim::cni::parse_network(text, "/etc/cni/net.d/10-fuzz.conflist");
  if (auto value = podshim::json::parse(text)) (void)podshim::cni::decode_answer(*value);
  return 0;
}
