#include "shim/commands.h"

#include <cstdio>
#include <ctime>

#include "common/json.h"
#include "shim/apply/probe.h"
#include "shim/cni_config.h"
#include "shim/cri/client.h"
#include "shim/doctor.h"
#include "shim/pull_command.h"
#include "shim/timeline_command.h"

namespace podshim {
namespace {

int failed(const Error& error) {
  std::fprintf(stderr, "podshim: %s\n", error.text().c_str());
  return kExitFailed;
}

void print(const json::Value& value) { std::printf("%s\n", json::dump(value, 2).c_str()); }

std::string human_size(std::uint64_t bytes) {
  char text[32];
  if (bytes >= 1000 * 1000) {
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.1f kB", static_cast<double>(bytes) / 1e3);
  }
  return text;
}

json::Value to_json(const cri::ImageLine& image) {
  return json::Value::object()
      .set("id", image.id)
      .set("repoTags", json::Value::strings(image.tags))
      .set("size", static_cast<std::int64_t>(image.size_bytes));
}

int print_images(const std::vector<cri::ImageLine>& images, bool as_json) {
  if (as_json) {
    auto list = json::Value::array();
    for (const auto& image : images) list.push(to_json(image));
    print(json::Value::object().set("images", std::move(list)));
    return kExitDone;
  }
  std::printf("%-50s %-19s %s\n", "IMAGE", "ID", "SIZE");
  for (const auto& image : images) {
    std::vector<std::string> names = image.tags;
    if (names.empty()) names.push_back("<none>");
    for (const auto& name : names)
      std::printf("%-50s %-19s %s\n", name.c_str(), image.id.substr(0, 19).c_str(),
                  human_size(image.size_bytes).c_str());
  }
  return kExitDone;
}

std::string utc(std::int64_t ns) {
  const std::time_t seconds = ns / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

json::Value to_json(const cri::DaemonStatus& s) {
  auto conditions = json::Value::array(), running = json::Value::array();
  for (const auto& c : s.conditions)
    conditions.push(json::Value::object()
                        .set("type", c.type)
                        .set("status", c.ok)
                        .set("reason", c.reason)
                        .set("message", c.message));
  for (const auto& call : s.running)
    running.push(json::Value::object().set("rpc", call.name).set("ageMs", static_cast<std::int64_t>(call.age_ms)));
  return json::Value::object()
      .set("version", s.version)
      .set("startedAt", utc(s.started_at_ns))
      .set("conditions", std::move(conditions))
      .set("sandboxes", json::Value::object().set("ready", s.sandboxes_ready).set("notReady", s.sandboxes_not_ready))
      .set("containers", json::Value::object().set("running", s.containers_running).set("other", s.containers_other))
      .set("images", s.images)
      .set("requestsServed", static_cast<std::int64_t>(s.requests_served))
      .set("running", std::move(running))
      .set("quarantined", json::Value::strings(s.quarantined))
      .set("warnings", json::Value::strings(s.warnings));
}

int print_status(const cri::DaemonStatus& s, bool as_json) {
  if (as_json) {
    print(to_json(s));
    return kExitDone;
  }
  std::printf("podshim %s, serving since %s\n", s.version.c_str(), utc(s.started_at_ns).c_str());
  for (const auto& c : s.conditions)
    std::printf("%-14s %s%s%s%s%s\n", c.type.c_str(), c.ok ? "yes" : "no", c.reason.empty() ? "" : "  ",
                c.reason.c_str(), c.message.empty() ? "" : ": ", c.message.c_str());
  std::printf("sandboxes      %u ready, %u not ready\n", s.sandboxes_ready, s.sandboxes_not_ready);
  std::printf("containers     %u running, %u other\n", s.containers_running, s.containers_other);
  std::printf("images         %u\n", s.images);
  std::printf("requests       %llu served\n", static_cast<unsigned long long>(s.requests_served));
  for (const auto& call : s.running)
    std::printf("running        %s for %llu ms\n", call.name.c_str(), static_cast<unsigned long long>(call.age_ms));
  for (const auto& text : s.quarantined) std::printf("set aside      %s\n", text.c_str());
  for (const auto& text : s.warnings) std::printf("warning        %s\n", text.c_str());
  return kExitDone;
}

const char* level_name(Finding::Level level) {
  switch (level) {
    case Finding::Level::ok:
      return "ok";
    case Finding::Level::warning:
      return "warning";
    case Finding::Level::problem:
      return "problem";
  }
  return "problem";
}

int print_findings(const std::vector<Finding>& findings, bool as_json) {
  bool problem = false;
  auto list = json::Value::array();
  for (const auto& f : findings) {
    problem = problem || f.level == Finding::Level::problem;
    if (as_json) {
      list.push(json::Value::object()
                    .set("check", f.check)
                    .set("level", level_name(f.level))
                    .set("found", f.found)
                    .set("fix", f.fix));
      continue;
    }
    std::printf("%-8s %-16s %s\n", level_name(f.level), f.check.c_str(), f.found.c_str());
    if (!f.fix.empty()) std::printf("%-8s %-16s -> %s\n", "", "", f.fix.c_str());
  }
  if (as_json) print(json::Value::object().set("findings", std::move(list)));
  return problem ? kExitFailed : kExitDone;
}

// The daemon looks from where it stands, its network namespace; without one we look ourselves and say so.
int doctor(const Options& options) {
  auto findings = cri::AdminClient(options.config.podshim.socket).doctor();
  if (findings) return print_findings(*findings, options.json);
  if (findings.error().kind != ErrorKind::unavailable) return failed(findings.error());
  const auto facts = gather_host_facts();
  if (!facts) return failed(facts.error());
  auto own = examine(options.config, gather_doctor_facts(options.config, *facts));
  own.insert(own.begin(), {.level = Finding::Level::warning,
                           .check = "daemon",
                           .found = "no podshim answers on " + options.config.podshim.socket + ": looking from here",
                           .fix = "start podshim, or name its socket: --socket PATH"});
  return print_findings(own, options.json);
}

int images(const Options& options) {
  cri::AdminClient client(options.config.podshim.socket);
  if (options.verb == Verb::image_remove) {
    for (const auto& reference : options.operands)
      if (const auto done = client.remove_image(reference); !done) return failed(done.error());
    return kExitDone;
  }
  if (options.verb == Verb::image_pull) {
    const auto image = pull_with_progress(client, options);
    return image ? print_images({*image}, options.json) : failed(image.error());
  }
  const auto list = options.verb == Verb::image_import ? client.import_images(options.operands) : client.list_images();
  return list ? print_images(*list, options.json) : failed(list.error());
}

}  // namespace

int run_command(const Options& options) {
  switch (options.verb) {
    case Verb::image_import:
    case Verb::image_list:
    case Verb::image_pull:
    case Verb::image_remove:
      return images(options);
    case Verb::status: {
      if (!options.timeline.empty()) return print_timeline(options);
      const auto status = cri::AdminClient(options.config.podshim.socket).status();
      return status ? print_status(*status, options.json) : failed(status.error());
    }
    case Verb::doctor:
      return doctor(options);
    case Verb::cni_config:
      std::fputs(cni_config_text(options.config).c_str(), stdout);
      return kExitDone;
    case Verb::serve:
      break;
  }
  return kExitUsage;
}

}  // namespace podshim
