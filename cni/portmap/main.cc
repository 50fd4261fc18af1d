// portmap: host ports of a Pod as elements of nftables maps. What it promises and leaves: verbs.h, apply.h,
// docs/cni.md.
#include "cni/portmap/verbs.h"
#include "cni/skel/plugin.h"

int main() {
  using namespace podshim::cni;
  return run({.name = "portmap",
              .add = portmap::add,
              .del = portmap::del,
              .check = portmap::check,
              .status = portmap::status,
              .gc = portmap::gc});
}
