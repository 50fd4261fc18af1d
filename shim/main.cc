// podshim, the daemon: wiring and signals. The order matters: the locks come before anything is read or swept, so that
// a second daemon on the same socket or root fails at once and touches nothing; the socket takes connections from then
// on and answers them when recovery is done. SIGTERM and SIGINT stop the daemon, never the Pods: running calls get a
// while to end, and what does not end is picked up by the next start.
#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/apply/probe.h"
#include "shim/commands.h"
#include "shim/cri/server.h"
#include "shim/doctor.h"

namespace podshim {
namespace {

constexpr std::chrono::seconds kStopPatience{10};
int g_stop_event = -1;  // written by the signal handler, which has no other way to reach anything

void on_stop_signal(int) {
  const std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(g_stop_event, &one, sizeof one);
}

// Handlers, not masks or SIG_IGN: those two would pass through exec to monitors and plugins.
void catch_signals() {
  g_stop_event = ::eventfd(0, EFD_CLOEXEC);
  struct sigaction stop{};
  stop.sa_handler = on_stop_signal;
  stop.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &stop, nullptr);
  ::sigaction(SIGINT, &stop, nullptr);
  struct sigaction nothing{};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  ::sigaction(SIGPIPE, &nothing, nullptr);
}

void wait_for_stop() {
  std::uint64_t count = 0;
  while (::read(g_stop_event, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

Result<Fd> lock_root(const std::string& root) {
  TRY(sys::make_dirs(root, 0711));
  const std::string path = root + "/daemon.lock";
  Fd fd = TRY(sys::open(path, O_RDWR | O_CREAT, 0600));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(Error::sys("flock", path));
    return fail(Error::of(ErrorKind::unavailable, "lock", root, "another podshim uses this root"));
  }
  return fd;
}

void print_settings(const Options& options) {
  log::info("podshim starts", {{"version", cri::kRuntimeVersion},
                               {"pid", static_cast<long>(::getpid())},
                               {"config", options.config_file.empty() ? "none" : options.config_file}});
  for (const auto& s : options.settings)
    log::info("setting", {{"name", s.name}, {"value", s.value}, {"origin", s.origin}});
}

Result<> serve(const Options& options) {
  const auto since = std::chrono::steady_clock::now();
  const Config& config = options.config;
  cri::Listener listener = TRY(cri::Listener::open(config.podshim.socket));
  const Fd root_lock = TRY(lock_root(config.podshim.root));
  const HostFacts facts = TRY_IN(gather_host_facts(), "look at the host");
  std::vector<std::string> quarantined;
  auto images = TRY(open_image_store(config.podshim.root + "/images", facts, &quarantined));
  auto runtime = TRY(make_runtime(config, facts, std::move(images), std::move(quarantined)));
  cri::Activity activity;
  cri::Border border{
      .runtime = *runtime,
      .config = config,
      .activity = activity,
      .doctor = [&] { return examine(config, gather_doctor_facts(config, facts)); },
      .started_at_ns = std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1)};
  auto server = TRY(cri::Server::start(border, listener));
  const auto took = std::chrono::steady_clock::now() - since;
  log::info("serving",
            {{"socket", config.podshim.socket}, {"us", static_cast<long>(took / std::chrono::microseconds(1))}});
  wait_for_stop();
  log::info("stopping; Pods go on");
  if (!server->stop(kStopPatience)) {
    // Calls hang in the lifecycle; unwinding under them would be worse than leaving them to the next start.
    log::warn("calls still run; leaving them");
    (void)sys::remove_file(config.podshim.socket);
    std::_Exit(kExitDone);
  }
  return {};
}

}  // namespace
}  // namespace podshim

int main(int argc, char** argv) {
  using namespace podshim;
  const auto options = parse_options({argv + 1, argv + argc});
  if (!options) {
    std::fputs(options.error().out.c_str(), stdout);
    std::fputs(options.error().err.c_str(), stderr);
    return options.error().code;
  }
  ::setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
  if (options->verb != Verb::serve) return run_command(*options);
  // About ten descriptors a Pod: the soft limit of a shell ends at a hundred Pods.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::mallopt(M_ARENA_MAX, 2);  // a heap per pool thread would cost more than the lock
  auto level = log::Level::info;
  log::parse_level(options->config.podshim.log_level, &level);
  log::configure("podshim", level);
  print_settings(*options);
  catch_signals();
  const auto served = serve(*options);
  if (!served) log::error("cannot serve", {{"error", served.error().text()}});
  return served ? kExitDone : kExitFailed;
}
