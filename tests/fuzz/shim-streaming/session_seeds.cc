// Scripts of sessions: each goes to one state of one kind of session. The numbers are those of the switches in
// spdy_peer.cc, spdy_session.cc, websocket_session.cc and of StreamRuntime::act().
#include "tests/fuzz/shim-streaming/seeds.h"

namespace podshim::streaming::test {
namespace {

using Bytes = std::initializer_list<int>;

// The first byte: what is driven, and how.
constexpr int kConnection = 0, kExec = 1, kAttach = 2, kForward = 3;
constexpr int kImpatient = 4, kLong = 8, kEarly = 16, kHolding = 32;
// The second: what was asked for, and the protocol.
constexpr int kIn = 1, kOut = 2, kErr = 4, kTty = 8, kAll = kIn | kOut | kErr;
constexpr int kV4 = 16, kV1 = 64, kNoProgram = 0xf0;
// Streams, ports, sizes.
constexpr int kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4, kData = 5, kJunk = 6, kWithFin = 128;
constexpr int kOpenPort = 0, kClosedPort = 1, kNoPort = 2;
constexpr int kKiB8 = 224, kKiB40 = 228, kKiB160 = 243, kKiB256 = 255;

std::string text(Bytes bytes) {
  std::string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}

std::string times(int n, const std::string& steps) {
  std::string out;
  while (n-- > 0) out += steps;
  return out;
}

// Steps. The loop turns after each but those with `+`.
std::string peer(Bytes bytes) { return text({3}) + text(bytes); }
std::string peer_and(Bytes bytes) { return text({3 + 128}) + text(bytes); }
std::string open(int type, int port = kOpenPort, int request = 0) { return peer({0, type, port, request}); }
std::string open_and(int type, int port = kOpenPort, int request = 0) { return peer_and({0, type, port, request}); }
std::string data(int nth, int size, bool fin = false) { return peer({4, nth, size, fin ? 3 : 0}); }
std::string owner(Bytes bytes) { return text({0}) + text(bytes); }
std::string client(int flags) { return text({2, flags}); }  // 1 reads nothing, 2 calls are held, 4 the pool is full
std::string toggle_taking() { return text({1, 0, 0}); }
std::string exits(int nth, int what = 8 + 1) { return text({1, nth, what}); }
std::string writes(int far, int size) { return text({1, far, 2, size}); }
std::string far(int nth, int what) { return text({1, nth, what}); }  // 5, 6 shutdown, 7 close
std::string exec_streams() { return open(kError) + open(kStdin) + open(kStdout) + open(kStderr); }
std::string pair(int port, int request) { return open(kError + kWithFin, port, request) + open(kData, port, request); }

void add_connections(std::vector<Seed>* out) {
  const auto add = [&](const char* name, const std::string& steps) {
    out->push_back({name, text({kConnection, 0}) + steps});
  };
  add("connection-ends", open(kStdin) + data(0, 5, true) + owner({0, 0, 5}) + owner({0, 1}));
  add("connection-refuses", open(kJunk) + data(0, 5) + open(kStdin + kWithFin));
  add("connection-resets", open(kStdin) + open(kData) + peer({8, 0}) + owner({1, 2}) + data(1, 9));
  add("connection-full", peer({2, 255, 0, 0, 1, 0}) + peer({2, 255, 0, 0, 1, 0}) + peer({2, 255, 0, 0, 1, 0}) +
                             peer({2, 255, 0, 0, 1, 0}) + peer({12}) + open(kStdin));
  add("connection-order", open(kStdin) + peer({3, kStdin, 0, 0, 1}));
  add("connection-even", peer({3, kStdin, 0, 0, 4}));
  add("connection-pings", client(1) + peer({9, 255}) + peer({9, 255}) + peer({9, 255}) + peer({9, 255}) +
                              peer({9, 255}) + peer({9, 255}) + peer({9, 255}) + client(0));
  add("connection-headers", open(kStdin) + peer({10, 0, 1}) + peer({11}));
  add("connection-paused", owner({0, 3, 1}) + open(kStdin) + data(0, kKiB256) + owner({0, 3, 0}));
  add("connection-raw", open(kStdin) + peer({15, 8, 0x80, 3, 0, 6, 0, 0, 0, 0}));
}

void add_processes(std::vector<Seed>* out) {
  const auto add = [&](const char* name, int drive, int wishes, const std::string& steps) {
    out->push_back({name, text({drive, wishes}) + steps});
  };
  const std::string over = exits(0) + far(0, 7) + far(1, 7) + far(2, 7);
  add("exec", kExec, kAll, exec_streams() + data(1, 9) + writes(1, 20) + writes(2, kKiB8) + data(1, 0, true) + over);
  add("exec-v1", kExec, kAll | kV1, exec_streams() + over);
  add("exec-all-at-once", kExec, kAll,
      open_and(kError) + open_and(kStdin) + open_and(kStdout) + open_and(kStderr) + data(1, 9, true) + over);
  add("exec-terminal", kExec, kIn | kOut | kTty,
      open(kError) + open(kStdin) + open(kStdout) + open(kResize) + peer({6, 3, 24}) + writes(0, 9) + exits(0, 1) +
          far(0, 7));
  add("exec-no-program", kExec, kAll | kNoProgram, exec_streams());
  add("exec-pool-full", kExec, kAll, client(4) + exec_streams());
  add("exec-held", kExec, kAll, client(2) + exec_streams() + data(1, kKiB256) + peer({7, 1}));
  add("exec-input-waits", kExec, kAll,
      toggle_taking() + exec_streams() + times(5, data(1, kKiB256)) + data(1, 0, true) + toggle_taking());
  add("exec-output-waits", kExec, kAll,
      exec_streams() + client(1) + writes(1, kKiB256) + writes(1, kKiB256) + writes(1, kKiB256) + client(0));
  add("exec-early-input", kExec, kAll, open(kStdin) + times(5, data(0, kKiB256)) + open(kError));
  add("exec-too-late", kExec | kImpatient, kAll, open(kError));
  add("exec-grandchild", kExec | kImpatient, kOut, open_and(kError) + open(kStdout) + exits(0) + writes(0, 9));
  add("exec-refused-output", kExec, kAll, exec_streams() + peer({8, 2}) + writes(1, 9) + over);
  add("exec-breaks", kExec, kAll, exec_streams() + peer({15, 8, 0x80, 3, 0, 2, 0, 0, 0, 4}));
  add("attach", kAttach, kAll, exec_streams() + writes(1, kKiB8) + exits(0, 128 + 1) + far(1, 7) + far(2, 7));
  add("attach-terminal", kAttach, kIn | kOut | kTty | kV4,
      open(kError) + open(kStdin) + open(kStdout) + open(kResize) + data(1, 3) + writes(1, 9));
}

void add_forwards(std::vector<Seed>* out) {
  const auto add = [&](const char* name, int flags, const std::string& steps) {
    out->push_back({name, text({kForward | flags, 0}) + steps});
  };
  add("forward", 0, pair(kOpenPort, 1) + data(1, 9) + writes(0, kKiB8) + data(1, 0, true) + far(0, 7));
  add("forward-second", 0, pair(kOpenPort, 1) + far(0, 7) + peer({7, 1}) + pair(kOpenPort, 1) + data(3, 9, true));
  add("forward-without-id", 0, pair(kOpenPort, 0) + data(1, 9) + far(0, 5) + data(1, 0, true));
  add("forward-closed-port", 0, pair(kClosedPort, 1) + pair(kOpenPort, 2));
  add("forward-no-port", 0, pair(kNoPort, 1) + open(kStdin));
  add("forward-pool-full", 0, client(4) + pair(kOpenPort, 1));
  add("forward-held", 0, client(2) + pair(kOpenPort, 1) + data(1, kKiB256, true) + client(0));
  add("forward-twice", 0, pair(kOpenPort, 1) + open(kData, kOpenPort, 1));
  add("forward-lonely", kImpatient, open(kError + kWithFin, kOpenPort, 1));
  add("forward-lonely-input", kImpatient, open_and(kData, kOpenPort, 1) + data(0, kKiB256));
  add("forward-deaf", kImpatient,
      toggle_taking() + open_and(kError, kOpenPort, 1) + open(kData, kOpenPort, 1) + data(1, kKiB256) +
          data(1, kKiB256) + data(1, kKiB256) + toggle_taking());
  add("forward-deaf-ones", kImpatient,
      toggle_taking() + open_and(kError, kOpenPort, 1) + open(kData, kOpenPort, 1) + open_and(kError, kOpenPort, 2) +
          open(kData, kOpenPort, 2) + times(3, data(1, kKiB256) + data(3, kKiB256)) + toggle_taking());
  add("forward-lonely-ones", 0, peer({2, 20, kData, kOpenPort, 192, 1}) + times(5, peer({14, kKiB160})));
  add("forward-long-ids", 0, peer({2, 255, kData, kOpenPort, 192, kKiB40}));
  add("forward-broken", 0, pair(kOpenPort, 1) + data(1, 9) + far(0, 6) + data(1, kKiB8) + data(1, kKiB8));
  add("forward-reset", 0, pair(kOpenPort, 1) + pair(kOpenPort, 2) + peer({8, 1}) + peer({12}));
  add("forward-output-waits", 0, pair(kOpenPort, 1) + client(1) + writes(0, kKiB256) + writes(0, kKiB256) + client(0));
}

}  // namespace

std::vector<Seed> spdy_session_seeds() {
  std::vector<Seed> out;
  add_connections(&out);
  add_processes(&out);
  add_forwards(&out);
  return out;
}

std::vector<Seed> websocket_session_seeds() {
  constexpr int kProcess = 0, kAttached = 1, kPortForward = 2;
  constexpr int kSocketBase64 = 32, kTunnel = 0, kPlain = 16, kPlainBase64 = 32;
  std::vector<Seed> out;
  const auto add = [&](const char* name, int first, int wishes, const std::string& steps) {
    out.push_back({name, text({first, wishes}) + steps});
  };
  const auto message = [](int channel, int size, int pieces = 0) { return peer({0, channel, pieces, size}); };
  const auto tunnel = [](Bytes bytes) { return peer({4}) + text(bytes) + text({0}); };
  const std::string over = exits(0) + far(0, 7) + far(1, 7) + far(2, 7);
  add("exec", kProcess, kAll, message(0, 9) + writes(1, 20) + writes(2, kKiB8) + peer({3, 0}) + over);
  add("exec-base64", kProcess, kAll | kSocketBase64, message(0, 9, 3) + writes(1, 20) + over);
  add("exec-terminal", kProcess, kIn | kOut | kTty, peer({2, 24, 2}) + message(0, 3) + writes(0, 9) + exits(0));
  add("exec-long-header", kProcess | kLong, kAll, message(0, 9) + over);
  add("exec-early-frames", kProcess | kEarly, kAll, text({0, 0, 0, 9}) + message(0, 9));
  add("exec-early-frames-long", kProcess | kEarly | kLong, kAll, text({0, 0, 0, 9}));
  add("exec-no-program", kProcess, kAll | kNoProgram, "");
  add("exec-held", kProcess | kHolding, kAll, message(0, kKiB256) + client(0) + over);
  add("exec-input-waits", kProcess, kAll,
      toggle_taking() + message(0, kKiB256, 3) + times(4, message(0, kKiB256)) + peer({6, 9}) + toggle_taking());
  add("exec-output-waits", kProcess, kAll, client(1) + writes(1, kKiB256) + writes(1, kKiB256) + client(0) + over);
  add("exec-pings", kProcess, kAll, peer({4, 20}) + client(1) + peer({6, 255}) + peer({6, 255}) + client(0));
  add("exec-client-closes", kProcess, kAll, peer({7, 0, 0}) + message(0, 9));
  add("exec-closes-with-code", kProcess, kAll, peer({7, 15, 0}));
  add("exec-continuation", kProcess, kAll, peer({8, 0x80, 3, 'a', 'b', 'c'}));
  add("exec-reserved", kProcess, kAll, peer({8, 0xc2, 1, 'a'}));
  add("exec-unknown-kind", kProcess, kAll, peer({8, 0x83, 1, 'a'}));
  add("exec-long-ping", kProcess, kAll, peer({8, 0x89, 200}) + std::string(200, 'p'));
  add("exec-wrong-base64", kProcess, kAll | kSocketBase64, peer({8, 0x81, 3, '0', '*', '*'}));
  add("exec-breaks-in-goodbye", kProcess, kAll | kNoProgram,
      peer_and({0, 7, 2, 121}) + peer_and({9, 1, 0xff}) + client(1) + message(0, 0));
  add("exec-no-mask", kProcess, kAll, peer({9, 3, 0x82, 1, 0}));
  add("attach", kAttached, kAll, peer({6, 1}) + writes(1, 9) + exits(0, 128 + 1) + far(1, 7) + far(2, 7));
  add("forward", kPortForward, kPlain, message(0, 9) + message(4, kKiB8) + writes(0, 9) + far(0, 5) + far(1, 7));
  add("forward-base64", kPortForward, kPlainBase64, message(0, 9) + writes(1, kKiB8));
  add("forward-deaf", kPortForward, kPlain,
      toggle_taking() + times(5, message(0, kKiB256)) + message(4, kKiB256) + toggle_taking());
  add("tunnel", kPortForward, kTunnel,
      tunnel({0, kError + kWithFin, kOpenPort, 1}) + tunnel({0, kData, kOpenPort, 1}) + tunnel({4, 1, 9, 0}) +
          writes(0, kKiB8) + tunnel({7, 1}));
  add("tunnel-refused", kPortForward, kTunnel, tunnel({0, kJunk, kOpenPort, 1}) + tunnel({9, 1}));
  add("tunnel-breaks", kPortForward, kTunnel, tunnel({15, 4, 1, 2, 3, 4}) + peer({4, 15, 8}) + "\x80\x02garbage");
  return out;
}

}  // namespace podshim::streaming::test
