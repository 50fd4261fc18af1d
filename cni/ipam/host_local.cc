#include "cni/ipam/host_local.h"

#include "cni/ipam/disk_store.h"
#include "cni/ipam/netconf.h"
#include "common/sys/file.h"

namespace podshim::cni::ipam {
namespace {

// Nothing when the network has never given out an address.
Result<std::unique_ptr<DiskStore>> open_existing(const Request& request, const std::string& boot_id) {
  auto store = DiskStore::open(data_dir_of(request), request.network, boot_id, false);
  if (!store && store.error().is(ENOENT)) return nullptr;
  return store;
}

}  // namespace

Result<AddResult> add(const Request& request, const std::string& boot_id) {
  auto conf = TRY(decode(request));
  AddResult out{.routes = conf.routes};
  if (!conf.resolv_conf.empty()) {
    auto text = TRY(sys::read_file(conf.resolv_conf));
    out.dns = parse_resolv_conf(text);
  }
  auto store = TRY(DiskStore::open(conf.data_dir, conf.network, boot_id, true));
  auto state = TRY(store->load());
  auto assigned = TRY(allocate(state, conf.network, conf.ranges, request.attachment, conf.requested));
  TRY(store->save(state));
  for (const auto& a : assigned) out.ips.push_back({.address = a.address, .gateway = a.gateway});
  return out;
}

Result<std::vector<IpAddress>> del(const Request& request, const std::string& boot_id) {
  auto store = TRY(open_existing(request, boot_id));
  if (!store) return std::vector<IpAddress>{};
  auto state = TRY(store->load());
  auto freed = release(state, request.attachment);
  if (!freed.empty()) TRY(store->save(state));
  return freed;
}

Result<> check(const Request& request, const std::string& boot_id) {
  auto store = TRY(open_existing(request, boot_id));
  auto missing = [&](std::string why) {
    return fail(Error::of(ErrorKind::failed_precondition, "check IP", request.attachment.str(), std::move(why)));
  };
  if (!store) return missing("network " + request.network + " has no leases");
  auto state = TRY(store->load());
  const auto* lease = find(state, request.attachment);
  if (lease == nullptr) return missing("holds no address in network " + request.network);
  return {};
}

Result<> status(const Request& request, const std::string& boot_id) {
  auto conf = TRY(decode(request));
  auto store = TRY(open_existing(request, boot_id));
  if (!store) return {};
  auto state = TRY(store->load());
  if (state.lost) return fail(lost_leases(conf.network));
  for (const auto& set : conf.ranges) {
    if (free_in(state, set) == 0)
      return fail(Error::of(ErrorKind::resource_exhausted, "no free IP", "network " + conf.network,
                            "all addresses of " + print(set) + " are in use"));
  }
  return {};
}

Result<> gc(const Request& request, const std::string& boot_id) {
  auto valid = TRY(request.valid_attachments());
  auto store = TRY(open_existing(request, boot_id));
  if (!store) return {};
  auto state = TRY(store->load());
  bool was_lost = state.lost;
  if (!collect(state, valid).empty() || was_lost != state.lost) TRY(store->save(state));
  return {};
}

}  // namespace podshim::cni::ipam
