// A Plan, or the whole table, as one nfnetlink batch: one kernel transaction. The bytes are those that nft itself sends
// (user data for types and comments included), so that `nft list` prints what render_text.h does.
//
// Elements of one Service in one set are messages of their own, so that the kernel's refusal of a message names the
// Service. Messages stay under 64 kB. Pure; any thread.
#pragma once

#include "common/netlink/message.h"
#include "netproxy/diff.h"

namespace podshim::netproxy {

struct NftBatch {
  netlink::Batch batch;
  // For each request: the Service in Plan::services, or kNoService.
  static constexpr std::size_t kNoService = SIZE_MAX;
  std::vector<std::size_t> service_of;
};

// Changes on the table as it stands.
NftBatch render_netlink(const Plan& plan);
// The table made anew in one step: what is there goes, the layout and the plan (of an empty Applied) come.
NftBatch render_replace(const LayoutFacts& layout, const Plan& plan);
// Takes the table away; harmless when there is none.
NftBatch render_delete();

// A batch that the kernel checks and never commits: one request for each expression and object the layout needs.
// Request i belongs to names[i]; "" for what only carries others.
struct Probe {
  netlink::Batch batch;
  std::vector<std::string> names;
};
Probe render_probe(const LayoutFacts& layout);

}  // namespace podshim::netproxy
