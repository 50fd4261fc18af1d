// bridge: connects a Pod to a Linux bridge by a veth pair. What it promises and leaves: verbs.h, apply.h, docs/cni.md.
#include "cni/bridge/verbs.h"
#include "cni/ipam/disk_store.h"
#include "cni/skel/plugin.h"

int main() {
  using namespace podshim;
  using namespace podshim::cni;
  auto boot = ipam::read_boot_id();
  auto with_boot = [&](Result<> (*verb)(const Request&, const std::string&)) {
    return [&boot, verb](const Request& request) -> Result<> {
      if (!boot) return fail(boot.error());
      return verb(request, *boot);
    };
  };
  auto add = [&](const Request& request) -> Result<json::Value> {
    if (!boot) return fail(boot.error());
    return encode(TRY(bridge::add(request, *boot)), request.version);
  };
  return run({.name = "bridge",
              .add = add,
              .del = with_boot(bridge::del),
              .check = with_boot(bridge::check),
              .status = with_boot(bridge::status),
              .gc = with_boot(bridge::gc)});
}
