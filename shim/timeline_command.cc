#include "shim/timeline_command.h"

#include <cstdio>
#include <ctime>

#include "common/json.h"
#include "shim/cri/client.h"

namespace podshim {
namespace {

double ms(std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1000; }

std::string utc(std::int64_t ns) {
  const std::time_t seconds = ns / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  const auto n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03dZ", static_cast<int>(ns / 1'000'000 % 1000));
  return text;
}

json::Value to_json(const cri::PodTimeline& pod) {
  auto operations = json::Value::array();
  for (const auto& o : pod.operations) {
    auto stages = json::Value::array();
    for (const auto& s : o.stages)
      stages.push(json::Value::object()
                      .set("name", s.name)
                      .set("offsetUs", static_cast<std::int64_t>(s.offset.count()))
                      .set("tookUs", static_cast<std::int64_t>(s.took.count())));
    operations.push(json::Value::object()
                        .set("operation", o.operation)
                        .set("containerID", o.container)
                        .set("containerName", o.name)
                        .set("beganAt", utc(o.began_at_ns))
                        .set("offsetUs", (o.began_at_ns - pod.operations.front().began_at_ns) / 1000)
                        .set("tookUs", static_cast<std::int64_t>(o.took.count()))
                        .set("stages", std::move(stages)));
  }
  return json::Value::object()
      .set("sandboxID", pod.sandbox)
      .set("namespace", pod.name_space)
      .set("name", pod.name)
      .set("operations", std::move(operations));
}

void print_text(const cri::PodTimeline& pod) {
  std::printf("%s/%s  %s\n", pod.name_space.c_str(), pod.name.c_str(), pod.sandbox.c_str());
  if (pod.operations.empty()) {
    std::printf("no timeline: podshim was restarted since\n");
    return;
  }
  const auto first = pod.operations.front().began_at_ns;
  std::printf("from %s\n%12s %10s  STAGE\n", utc(first).c_str(), "OFFSET ms", "TOOK ms");
  for (const auto& o : pod.operations) {
    const std::chrono::microseconds began((o.began_at_ns - first) / 1000);
    std::printf("%12.2f %10.2f  %s%s%s\n", ms(began), ms(o.took), o.operation.c_str(), o.name.empty() ? "" : " ",
                o.name.c_str());
    for (const auto& s : o.stages)
      std::printf("%12.2f %10.2f    %s%s\n", ms(began + s.offset), ms(s.took),
                  s.name.find('/') == std::string::npos ? "" : "  ", s.name.c_str());
  }
}

}  // namespace

int print_timeline(const Options& options) {
  const auto pod = cri::AdminClient(options.config.podshim.socket).timeline(options.timeline);
  if (!pod) {
    std::fprintf(stderr, "podshim: %s\n", pod.error().text().c_str());
    return kExitFailed;
  }
  if (options.json)
    std::printf("%s\n", json::dump(to_json(*pod), 2).c_str());
  else
    print_text(*pod);
  return kExitDone;
}

}  // namespace podshim
