// podshim, the daemon: wiring and signals. The order matters: the locks come before anything is read or swept, so that
// a second daemon on the same socket or root fails at once and touches nothing; the socket takes connections from then
// on and answers them when recovery is done. SIGTERM and SIGINT stop the daemon, never the Pods: running calls get a
// while to end, and what does not end is picked up by the next start.
#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <cstdio>
#include <cstdlib>

#include "common/log.h"
#include "common/sys/descriptors.h"
#include "common/sys/file.h"
#include "common/sys/lock.h"
#include "shim/apply/probe.h"
#include "shim/commands.h"
#include "shim/cri/gauges.h"
#include "shim/cri/pool.h"
#include "shim/cri/server.h"
#include "shim/doctor.h"
#include "shim/metrics/http.h"
#include "shim/streaming/server.h"

namespace podshim {
namespace {

constexpr std::chrono::seconds kStopPatience{10};
// Opening processes and connections for streams, at a time. A Pod that drops its own packets, or is on a volume that
// does not answer, holds as many for seconds as its lanes let it (shim/streaming/limits.h).
constexpr std::size_t kStreamCalls = 256;
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
  if (!TRY(sys::lock_file(fd, path)))
    return fail(Error::of(ErrorKind::unavailable, "lock", root, "another podshim uses this root"));
  return fd;
}

void print_settings(const Options& options) {
  log::info("podshim starts", {{"version", cri::kRuntimeVersion},
                               {"pid", static_cast<long>(::getpid())},
                               {"config", options.config_file.empty() ? "none" : options.config_file}});
  for (const auto& s : options.settings)
    log::info("setting", {{"name", s.name}, {"value", s.value}, {"origin", s.origin}});
}

// Metrics that cannot be served are no reason not to serve Pods.
std::unique_ptr<MetricsServer> serve_metrics(const PodshimConfig& config, std::function<std::string()> text) {
  if (config.metrics_port == 0) return nullptr;
  auto page =
      MetricsServer::start(config.metrics_address, static_cast<std::uint16_t>(config.metrics_port), std::move(text));
  if (page) return *std::move(page);
  log::error("metrics are not served", {{"error", page.error().text()}});
  return nullptr;
}

streaming::ServerOptions streaming_options(const PodshimConfig::Streaming& c) {
  streaming::ServerOptions out{
      .address = c.address, .port = static_cast<std::uint16_t>(c.port), .certificate = c.tls_cert, .key = c.tls_key};
  out.limits.idle = c.idle;
  return out;
}

Result<> serve(const Options& options) {
  const auto since = std::chrono::steady_clock::now();
  const Config& config = options.config;
  cri::Listener listener = TRY(cri::Listener::open(config.podshim.socket));
  const Fd root_lock = TRY(lock_root(config.podshim.root));
  const HostFacts facts = TRY_IN(gather_host_facts(), "look at the host");
  std::vector<std::string> quarantined;
  auto images = TRY(open_image_store(config.podshim.root + "/images", facts, &quarantined,
                                     {.registries = options.registries, .stall = config.podshim.pull_stall}));
  Metrics metrics;
  const auto count_stages = [&](const std::string& operation, const std::vector<StageSpan>& stages, auto) {
    for (const auto& stage : stages) metrics.stage(operation, stage.name, stage.took);
  };
  auto runtime = TRY(make_runtime(config, facts, std::move(images), std::move(quarantined), {.stages = count_stages}));
  cri::Activity activity;
  cri::Border border{.runtime = *runtime,
                     .config = config,
                     .activity = activity,
                     .doctor = [&] { return examine(config, gather_doctor_facts(config, facts)); },
                     .started_at_ns = std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1),
                     .metrics = &metrics};
  // The pool ends after the streaming server, and both before the runtime.
  cri::Pool stream_calls({.name = "stream-call", .max_threads = kStreamCalls});
  auto streaming = TRY(streaming::Server::start(*runtime, streaming_options(config.podshim.streaming),
                                                [&](auto call) { return stream_calls.submit(std::move(call)); }));
  border.streaming = streaming.get();
  border.streaming_sessions = [&] { return streaming->sessions(); };
  auto server = TRY(cri::Server::start(border, listener));
  const auto page = serve_metrics(config.podshim, [&] { return metrics.text(cri::gauges(border)); });
  const auto took = std::chrono::steady_clock::now() - since;
  log::info("serving",
            {{"socket", config.podshim.socket}, {"us", static_cast<long>(took / std::chrono::microseconds(1))}});
  wait_for_stop();
  log::info("stopping; Pods go on");
  streaming->stop();
  if (!server->stop(kStopPatience) || !stream_calls.drain(kStopPatience)) {
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
  if (options->verb != Verb::serve) return run_command(*options);
  // About ten descriptors a Pod: the soft limit of a shell ends at a hundred Pods.
  sys::raise_descriptor_limit();
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
