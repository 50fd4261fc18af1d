#include "shim/plan/log_path.h"

#include <string_view>

namespace podshim {
namespace {

bool has_dotdot(std::string_view path) {
  for (;;) {
    auto at = path.find('/');
    if (path.substr(0, at) == "..") return true;
    if (at == std::string_view::npos) return false;
    path.remove_prefix(at + 1);
  }
}

Result<> check_text(const char* field, const std::string& path) {
  if (has_dotdot(path)) return fail(Error::invalid(field, "\"" + path + "\" holds \"..\""));
  if (path.find('\0') != std::string::npos) return fail(Error::invalid(field, "holds a NUL byte"));
  return {};
}

}  // namespace

Result<std::string> container_log_path(const std::string& log_directory, const std::string& log_path) {
  if (log_directory.empty() || log_path.empty()) return std::string();
  if (log_directory[0] != '/')
    return fail(Error::invalid("sandbox_config.log_directory", "\"" + log_directory + "\" is not absolute"));
  if (log_path[0] == '/')
    return fail(
        Error::invalid("config.log_path", "\"" + log_path + "\" is not relative to the sandbox's log_directory"));
  TRY(check_text("sandbox_config.log_directory", log_directory));
  TRY(check_text("config.log_path", log_path));
  if (log_path.ends_with('/')) return fail(Error::invalid("config.log_path", "\"" + log_path + "\" names a directory"));
  return log_directory + (log_directory.ends_with('/') ? "" : "/") + log_path;
}

}  // namespace podshim
