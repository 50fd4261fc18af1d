#include "cni/skel/plugin.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::cni {
namespace {

constexpr std::size_t kMaxConfig = 4UL << 20;

json::Value version_answer(const Request& request) {
  auto asked = request.config.find("cniVersion");
  auto names = json::Value::array();
  for (auto name : kVersionNames) names.push(name);
  return json::Value::object()
      .set("cniVersion", asked != nullptr && asked->is_string() ? *asked : json::Value(name_of(kNewestVersion)))
      .set("supportedVersions", std::move(names))
      .set("podshim.dev/waits-for-config", true);  // the runtime may start us before it has one
}

// Nothing in the answer = nothing to print.
Result<std::optional<json::Value>> dispatch(const Plugin& plugin, const Request& request) {
  switch (request.command) {
    case Command::add:
      return TRY(plugin.add(request));
    case Command::version:
      return version_answer(request);
    case Command::del:
      TRY(plugin.del(request));
      break;
    case Command::check:
      TRY(plugin.check(request));
      break;
    case Command::status:
      TRY(plugin.status(request));
      break;
    case Command::gc:
      TRY(plugin.gc(request));
      break;
  }
  return std::nullopt;
}

int print(const json::Value& value, int status) {
  std::string text = json::dump(value, 4) + "\n";
  Fd out(STDOUT_FILENO);
  auto written = sys::write_all(out, text, "stdout");
  out.release();
  if (written) return status;
  log::error("cannot print the answer", {{"error", written.error().text()}});
  return 1;
}

std::expected<Request, Failure> read_request() {
  auto env = [](const char* name) -> const char* { return std::getenv(name); };
  const char* command = std::getenv("CNI_COMMAND");
  std::string text;
  if (command != nullptr && *command != '\0') {
    Fd in(STDIN_FILENO);
    auto read = sys::read_all(in, "stdin", kMaxConfig);
    in.release();
    if (!read) return std::unexpected(Failure{.code = Code::io_failure, .message = read.error().text()});
    text = *std::move(read);
  }
  return decode(env, std::move(text));
}

}  // namespace

int run(const Plugin& plugin) {
  log::configure(plugin.name, log::Level::info);
  std::signal(SIGPIPE,
              SIG_IGN);  // a caller or a delegated plugin that closed its end is an EPIPE, not a death half way
  auto request = read_request();
  if (!request) return print(encode(request.error(), name_of(kNewestVersion)), 1);
  auto answer = dispatch(plugin, *request);
  if (!answer) {
    auto failure = failure_of(answer.error());
    if (request->command == Command::status) failure.code = Code::not_available;
    return print(encode(failure, name_of(request->version)), 1);
  }
  return *answer ? print(**answer, 0) : 0;
}

}  // namespace podshim::cni
