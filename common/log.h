// One structured line per event on stderr:
//   2026-01-02T03:04:05.678Z info podshim: sandbox ready sandbox=3f2a ip=10.42.0.5
// One write(2) a line, so lines of threads do not mix. A long value is shortened. Any thread; never after clone.
// The lowest layer returns errors; the one who decides logs once, with ids.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace podshim::log {

enum class Level { debug, info, warn, error };

struct Field {
  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, long long v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, unsigned long v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, long v) : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, int v) : key(k), value(std::to_string(v)) {}
  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

// Set once in main, before any thread.
void configure(std::string program, Level threshold);
bool parse_level(std::string_view text, Level* out);

bool enabled(Level level);  // for what is dear to put together
void write(Level level, std::string_view message, Fields fields = {});
inline void debug(std::string_view m, Fields f = {}) { write(Level::debug, m, f); }
inline void info(std::string_view m, Fields f = {}) { write(Level::info, m, f); }
inline void warn(std::string_view m, Fields f = {}) { write(Level::warn, m, f); }
inline void error(std::string_view m, Fields f = {}) { write(Level::error, m, f); }

}  // namespace podshim::log
