#include "common/kube/probe.h"

#include <algorithm>
#include <optional>

namespace podshim::kube {
namespace {

Result<PortRef> decode_handler_port(const json::Reader& r) {
  if (!r.has("port")) return fail(r.error("port", "is missing"));
  return decode_port_ref(r, "port", {});
}

Result<HttpAction> decode_http(const json::Reader& r, Unknowns& unknowns) {
  HttpAction out;
  out.host = TRY(r.string_or("host", ""));
  out.path = TRY(r.string_or("path", "/"));
  if (!out.path.starts_with('/')) out.path.insert(0, "/");
  if (std::ranges::any_of(out.path, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    return fail(r.error("path", "\"" + out.path + "\" holds a blank or a control character"));
  out.port = TRY(decode_handler_port(r));
  if (auto scheme = TRY(r.string_or("scheme", "HTTP")); scheme != "HTTP")
    return fail(r.error("scheme", "\"" + scheme + "\" is not supported; only HTTP is"));
  for (const auto& header : TRY(r.objects("httpHeaders"))) {
    auto name = TRY(header.string("name"));
    auto value = TRY(header.string("value"));
    if (name.empty() || (name + value).find_first_of("\r\n") != std::string::npos ||
        name.find_first_of(": ") != std::string::npos)
      return fail(header.error("name", "\"" + name + "\" is not a header"));
    out.headers.emplace_back(std::move(name), std::move(value));
    note_unknown(header, unknowns);
  }
  note_unknown(r, unknowns);
  return out;
}

Result<std::optional<ProbeHandler>> decode_handler(const json::Reader& r, Unknowns& unknowns) {
  std::vector<ProbeHandler> found;
  if (auto exec = TRY(r.opt_object("exec"))) {
    ExecAction action{.command = TRY(exec->strings("command"))};
    if (action.command.empty()) return fail(exec->error("command", "is missing"));
    note_unknown(*exec, unknowns);
    found.emplace_back(std::move(action));
  }
  if (auto http = TRY(r.opt_object("httpGet"))) found.emplace_back(TRY(decode_http(*http, unknowns)));
  if (auto tcp = TRY(r.opt_object("tcpSocket"))) {
    TcpAction action{.host = TRY(tcp->string_or("host", "")), .port = TRY(decode_handler_port(*tcp))};
    note_unknown(*tcp, unknowns);
    found.emplace_back(std::move(action));
  }
  if (r.get("grpc") != nullptr) return fail(r.error("grpc", "is not supported; use exec, httpGet or tcpSocket"));
  if (found.size() > 1) return fail(r.error("", "names more than one of exec, httpGet, tcpSocket"));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

}  // namespace

std::string_view probe_kind_text(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::startup:
      return "Startup";
    case ProbeKind::liveness:
      return "Liveness";
    case ProbeKind::readiness:
      return "Readiness";
  }
  return "?";
}

Result<Probe> decode_probe(const json::Reader& r, ProbeKind kind, Unknowns& unknowns) {
  Probe out;
  auto handler = TRY(decode_handler(r, unknowns));
  if (!handler) return fail(r.error("", "names none of exec, httpGet, tcpSocket"));
  out.handler = *std::move(handler);
  auto seconds = [&](const char* name, std::chrono::seconds fallback, int low) -> Result<std::chrono::seconds> {
    auto n = TRY(r.integer_or(name, fallback.count(), low, 1'000'000'000));
    return n == 0 ? fallback : std::chrono::seconds(n);  // 0 reads as unset, as the API server has it
  };
  out.initial_delay = TRY(seconds("initialDelaySeconds", out.initial_delay, 0));
  out.period = TRY(seconds("periodSeconds", out.period, 0));
  out.timeout = TRY(seconds("timeoutSeconds", out.timeout, 0));
  auto count = [&](const char* name, int fallback) -> Result<int> {
    auto n = static_cast<int>(TRY(r.integer_or(name, fallback, 0, 1'000'000)));
    return n == 0 ? fallback : n;
  };
  out.success_threshold = TRY(count("successThreshold", out.success_threshold));
  out.failure_threshold = TRY(count("failureThreshold", out.failure_threshold));
  if (kind != ProbeKind::readiness && out.success_threshold != 1)
    return fail(r.error("successThreshold", "must be 1 for a liveness or startup probe"));
  if (r.has("terminationGracePeriodSeconds")) {
    if (kind == ProbeKind::readiness)
      return fail(r.error("terminationGracePeriodSeconds", "has no meaning for a readiness probe"));
    out.grace = TRY(seconds("terminationGracePeriodSeconds", out.grace, 1));
  }
  note_unknown(r, unknowns);
  return out;
}

Result<ProbeHandler> decode_lifecycle_handler(const json::Reader& r, Unknowns& unknowns) {
  auto handler = TRY(decode_handler(r, unknowns));
  if (auto sleep = TRY(r.opt_object("sleep"))) {
    if (handler) return fail(r.error("sleep", "stands beside another handler"));
    handler = SleepAction{.time = std::chrono::seconds(TRY(sleep->integer("seconds", 0, 86400)))};
    note_unknown(*sleep, unknowns);
  }
  if (!handler) return fail(r.error("", "names none of exec, httpGet, sleep"));
  note_unknown(r, unknowns);
  return *std::move(handler);
}

}  // namespace podshim::kube
