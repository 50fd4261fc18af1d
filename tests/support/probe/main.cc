#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "probe.h"

// As PID 1 of a container a signal without a handler is ignored.
static void on_signal(int) { _exit(0); }

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  ::signal(SIGTERM, on_signal);
  ::signal(SIGINT, on_signal);
  ::signal(SIGPIPE, SIG_IGN);
  std::string mode = argc > 1 ? argv[1] : "";
  using probe::Options;
  if (mode == "serve") {
    return probe::serve(Options(argc, argv, {"port", "udp-port", "name", "ready-after"}, {"not-ready", "log"}));
  }
  if (mode == "get") return probe::get(Options(argc, argv, {"count", "timeout", "interval"}, {"status", "tally"}));
  if (mode == "udp") {
    return probe::udp(Options(argc, argv, {"count", "timeout", "interval", "text"}, {"same-socket", "tally"}));
  }
  if (mode == "connect") return probe::connect_only(Options(argc, argv, {"timeout"}, {}));
  if (mode == "pause") {
    for (;;) ::pause();
  }
  probe::usage("serve, get, udp, connect or pause, not '" + mode + "'");
}
