#include "common/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "common/shorten.h"

namespace podshim::log {
namespace {

// Written once by configure() before threads exist; the one piece of process-wide state, as stderr itself is.
std::string g_program = "podshim";
Level g_threshold = Level::info;

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};

void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (unsigned char c : value) plain = plain && c > ' ' && c != '"' && c != '=' && c != 0x7f;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (unsigned char c : value) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += static_cast<char>(c);
    } else if (c == '\n') {
      line += "\\n";
    } else if (c < ' ' || c == 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", c);
      line += hex;
    } else {
      line += static_cast<char>(c);
    }
  }
  line += '"';
}

}  // namespace

void configure(std::string program, Level threshold) {
  g_program = std::move(program);
  g_threshold = threshold;
}

bool parse_level(std::string_view text, Level* out) {
  for (int i = 0; i < 4; i++) {
    if (text == kNames[i]) {
      *out = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

bool enabled(Level level) { return level >= g_threshold; }

void write(Level level, std::string_view message, Fields fields) {
  if (level < g_threshold) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char stamp[64];
  std::snprintf(stamp, sizeof stamp, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
  std::string line = stamp;
  line += kNames[static_cast<int>(level)];
  line += ' ';
  line += g_program;
  line += ": ";
  line += message;
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, shorten(field.value));
  }
  line += '\n';
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace podshim::log
