// A question by UDP without EDNS that we answer ourselves takes nothing from the heap by way of operator new; the one
// library that calls malloc (ldns) is not asked then.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/unit/netproxy-dns/dns_world.h"

namespace {
std::atomic<long> allocations = 0;
}

void* operator new(std::size_t size) {
  allocations++;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace podshim::netproxy::dns::test {
namespace {

TEST(DnsAllocation, AQuestionTakesNothingFromTheHeap) {
  World world;
  struct Case {
    const char* name;
    const char* type;
  };
  const Case cases[] = {
      {"web.default.svc.cluster.local.", "A"},
      {"web.default.svc.cluster.local.", "AAAA"},
      {"gone.default.svc.cluster.local.", "A"},
      {"_pg._tcp.db.data.svc.cluster.local.", "SRV"},
      {"db.data.svc.cluster.local.", "A"},
      {"1.0.43.10.in-addr.arpa.", "PTR"},
      {"inside.names.svc.cluster.local.", "A"},
      {"outside.names.svc.cluster.local.", "A"},
      {"example.com.", "A"},
  };
  for (const auto& c : cases) {
    auto wire = query_for(c.name, c.type);
    std::array<std::uint8_t, kOurUdp> out;
    Query query;
    auto before = allocations.load();
    for (std::uint32_t i = 0; i < 100; i++) answer(wire, false, world.zone, world.facts, i, out, query);
    EXPECT_EQ(allocations.load(), before) << c.name;
  }
  auto before = allocations.load();
  World another;
  EXPECT_GT(allocations.load(), before) << "the count counts";
}

}  // namespace
}  // namespace podshim::netproxy::dns::test
