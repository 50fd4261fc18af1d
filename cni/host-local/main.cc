// host-local: hands out addresses of configured ranges from a file of leases (cni/ipam). Needs nothing but its data
// directory; leaves the leases there.
#include "cni/ipam/disk_store.h"
#include "cni/ipam/host_local.h"
#include "cni/skel/plugin.h"

// An ELF note on the program's first page (elf(5), type 1 of the owner "podshim"): bridge reads it to know that this
// file and its own library are the same. The text is ipam::kNote.
asm(".pushsection .note.podshim, \"a\", @note\n"
    ".balign 4\n"
    ".long 8, 2f - 1f, 1\n"
    ".asciz \"podshim\"\n"
    "1: .asciz \"podshim host-local leases 2\"\n"
    "2: .balign 4\n"
    ".popsection\n");

int main() {
  using namespace podshim;
  using namespace podshim::cni;
  auto boot = ipam::read_boot_id();
  auto with_boot = [&](auto verb) {
    return [&boot, verb](const Request& request) -> decltype(verb(request, std::string())) {
      if (!boot) return fail(boot.error());
      return verb(request, *boot);
    };
  };
  return run({.name = "host-local",
              .add = with_boot([](const Request& r, const std::string& b) -> Result<json::Value> {
                return encode(TRY(ipam::add(r, b)), r.version);
              }),
              .del = with_boot([](const Request& r, const std::string& b) -> Result<> {
                TRY(ipam::del(r, b));
                return {};
              }),
              .check = with_boot(ipam::check),
              .status = with_boot(ipam::status),
              .gc = with_boot(ipam::gc)});
}
