#include "shim/streaming/status_json.h"

#include "common/json.h"

namespace podshim::streaming {
namespace {

constexpr int kInternalServerError = 500;

}  // namespace

std::string status_text(const Outcome& outcome) {
  if (!outcome.error.empty()) return "Internal error occurred: " + outcome.error;
  if (outcome.exit_code == 0) return "";
  return "command terminated with non-zero exit code: exit status " + std::to_string(outcome.exit_code);
}

std::string status_json(const Outcome& outcome) {
  auto out = json::Value::object();
  out.set("metadata", json::Value::object());
  if (outcome.error.empty() && outcome.exit_code == 0) return json::dump(out.set("status", "Success"));
  out.set("status", "Failure").set("message", status_text(outcome));
  auto cause = json::Value::object();
  if (!outcome.error.empty()) {
    cause.set("message", outcome.error);
    out.set("reason", "InternalError").set("code", kInternalServerError);
  } else {
    cause.set("reason", "ExitCode").set("message", std::to_string(outcome.exit_code));
    out.set("reason", "NonZeroExitCode");
  }
  auto causes = json::Value::array();
  causes.push(std::move(cause));
  out.set("details", json::Value::object().set("causes", std::move(causes)));
  return json::dump(out);
}

}  // namespace podshim::streaming
