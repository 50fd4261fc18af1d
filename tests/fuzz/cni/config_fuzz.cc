// A configuration as it comes on stdin: request, the configurations of all plugins, results, plans; and the file of
// leases.
#include <cstdint>
#include <cstdlib>

#include "cni/bridge/plan.h"
#include "cni/ipam/netconf.h"
#include "cni/ipam/store.h"
#include "cni/portmap/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace podshim;
  using namespace podshim::cni;
  std::string text(reinterpret_cast<const char*>(data), size);
  if (auto state = ipam::decode_state(text))
    if (auto again = ipam::decode_state(ipam::encode(*state)); !again || *again != *state) std::abort();
  auto env = [](const char* name) -> const char* {
    std::string_view n = name;
    if (n == "CNI_COMMAND") return "ADD";
    if (n == "CNI_IFNAME") return "eth0";
    return n.starts_with("CNI_") ? "x" : nullptr;
  };
  auto request = decode(env, text);
  if (!request) return 0;
  [[maybe_unused]] auto valid = request->valid_attachments();
  [[maybe_unused]] auto leases = ipam::decode(*request);
  auto prev = request->prev_result();
  if (prev && *prev) {
    auto read = parse_result(encode(**prev, Version::v1_1_0), "again");
    if (!read || *read != **prev) std::abort();
  }
  AddResult answer = prev && *prev ? **prev : AddResult{};
  if (auto conf = bridge::decode(*request))
    if (auto plan = bridge::plan_add(*conf, *request, {}, answer)) bridge::print(*plan);
  if (auto conf = portmap::decode(*request))
    if (auto plan = portmap::plan_add(*conf, request->attachment, answer)) portmap::print(*plan);
  return 0;
}
