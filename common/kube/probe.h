// Probes and life-cycle handlers of a container, with Kubernetes' defaults (period 10 s, timeout 1 s, success 1,
// failure 3). grpc handlers and scheme HTTPS are refused: nobody here can perform them. Pure; any thread.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/kube/object.h"
#include "common/kube/service.h"

namespace podshim::kube {

struct ExecAction {
  std::vector<std::string> command;
  bool operator==(const ExecAction&) const = default;
};
struct HttpAction {
  std::string host;  // "" = the Pod's address
  std::string path = "/";
  PortRef port;
  std::vector<std::pair<std::string, std::string>> headers;
  bool operator==(const HttpAction&) const = default;
};
struct TcpAction {
  std::string host;
  PortRef port;
  bool operator==(const TcpAction&) const = default;
};
struct SleepAction {
  std::chrono::seconds time{0};
  bool operator==(const SleepAction&) const = default;
};
using ProbeHandler = std::variant<ExecAction, HttpAction, TcpAction, SleepAction>;

enum class ProbeKind { startup, liveness, readiness };
std::string_view probe_kind_text(ProbeKind kind);  // "Liveness"

struct Probe {
  ProbeHandler handler;
  std::chrono::seconds initial_delay{0}, period{10}, timeout{1};
  int success_threshold = 1, failure_threshold = 3;
  std::chrono::seconds grace{-1};  // terminationGracePeriodSeconds of the probe; -1 = the Pod's
  bool operator==(const Probe&) const = default;
};

Result<Probe> decode_probe(const json::Reader& r, ProbeKind kind, Unknowns& unknowns);
Result<ProbeHandler> decode_lifecycle_handler(const json::Reader& r, Unknowns& unknowns);

}  // namespace podshim::kube
