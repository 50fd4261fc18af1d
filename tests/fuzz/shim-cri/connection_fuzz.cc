// What a client may send: HTTP/2 of any kind over a fake runtime. The connection ends or serves; every call that it
// began comes back, and none is left when it goes. The corpus is what curl and gRPC's Go client send.
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "common/log.h"
#include "shim/cri/connection.h"
#include "tests/support/fake_runtime.h"

namespace {

using namespace podshim;
using namespace podshim::cri;

constexpr int kInputsPerWorld = 256;  // then the fake runtime has seen enough Pods
constexpr std::size_t kPiece = 16 << 10;

struct World {
  test::FakeRuntime runtime;
  Config config;
  Activity activity;
  Border border{
      .runtime = runtime, .config = config, .activity = activity, .doctor = [] { return std::vector<Finding>(); }};
  Inbox<Returned> inbox;
  Lanes lanes;
  CallContext context{.border = border, .lanes = lanes, .inbox = inbox};
  World() {
    if (!inbox.open()) std::abort();
  }
};

// False: the connection is over.
bool turn(World& world, Connection& connection, int peer, bool peer_reads) {
  for (auto& [call, why] : world.inbox.take()) connection.do_next(*call, call->came_back(why));
  const auto received = connection.receive(), flushed = connection.flush();
  if (!received || !*received || !flushed || !*flushed) return false;
  std::array<char, 64 << 10> answer;
  while (peer_reads && ::recv(peer, answer.data(), answer.size(), 0) > 0) {
  }
  return true;
}

void serve(World& world, const std::uint8_t* data, std::size_t size) {
  const bool peer_reads = size % 8 != 0;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
  const Fd peer(ends[0]);
  auto connection = Connection::open(Fd(ends[1]), 7, world.context);
  if (!connection) std::abort();
  for (std::size_t at = 0; at < size;) {
    const auto n = ::send(peer.get(), data + at, std::min(kPiece, size - at), MSG_NOSIGNAL);
    if (n > 0) at += static_cast<std::size_t>(n);
    if (!turn(world, **connection, peer.get(), peer_reads)) break;
  }
  while (!world.context.deadlines.empty()) {
    const auto call = world.context.deadlines.begin()->second->shared_from_this();
    (*connection)->do_next(*call, call->deadline_passed());
  }
  while (world.activity.any())
    if (!turn(world, **connection, peer.get(), peer_reads)) break;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::unique_ptr<World> world;
  static int inputs = 0;
  if (inputs++ % kInputsPerWorld == 0) {
    log::configure("fuzz", log::Level::error);
    world = nullptr;
    world = std::make_unique<World>();
  }
  serve(*world, data, size);
  while (world->activity.any()) {  // calls whose connection has gone
    for (auto& [call, why] : world->inbox.take()) (void)call->came_back(why);
    std::this_thread::yield();
  }
  (void)world->inbox.take();
  if (!world->context.deadlines.empty() || world->context.held_bytes != 0) std::abort();
  return 0;
}
