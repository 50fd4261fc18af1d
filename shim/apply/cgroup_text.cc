#include "shim/apply/cgroup_text.h"

#include <algorithm>

namespace podshim::cgroup_text {
namespace {

// Takes the text up to `end` off the front of `rest`.
std::string_view take(std::string_view& rest, char end) {
  const auto at = std::min(rest.find(end), rest.size());
  const auto out = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return out;
}

double decimal(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "8:0": false when it is not a device (v1 ends with "Total 4096").
bool device(std::string_view text, unsigned& major, unsigned& minor) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  major = static_cast<unsigned>(number(text.substr(0, colon)));
  minor = static_cast<unsigned>(number(text.substr(colon + 1)));
  return true;
}

BlockUse& block(std::vector<BlockUse>& all, unsigned major, unsigned minor) {
  auto at = std::find_if(all.begin(), all.end(), [&](const auto& b) { return b.major == major && b.minor == minor; });
  return at != all.end() ? *at : all.emplace_back(BlockUse{.major = major, .minor = minor});
}

}  // namespace

std::optional<std::uint64_t> find(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const auto line = text.substr(at, text.find('\n', at) - at);
    if (line.size() > key.size() && line[key.size()] == ' ' && line.starts_with(key))
      return number(line.substr(key.size() + 1));
    at += line.size() + 1;
  }
  return std::nullopt;
}

Pressure pressure(std::string_view text) {
  Pressure out;
  while (!text.empty()) {
    auto line = take(text, '\n');
    PressureLine& which = take(line, ' ') == "full" ? out.full : out.some;
    while (!line.empty()) {
      auto value = take(line, ' ');
      const auto name = take(value, '=');
      if (name == "avg10") which.avg10 = decimal(value);
      if (name == "avg60") which.avg60 = decimal(value);
      if (name == "avg300") which.avg300 = decimal(value);
      if (name == "total") which.total_us = number(value);
    }
  }
  return out;
}

void add_blkio(std::string_view text, std::uint64_t BlockUse::* read, std::uint64_t BlockUse::* write,
               std::vector<BlockUse>& out) {
  while (!text.empty()) {
    auto line = take(text, '\n');
    unsigned major = 0, minor = 0;
    if (!device(take(line, ' '), major, minor)) continue;
    const auto operation = take(line, ' ');
    if (operation == "Read") block(out, major, minor).*read = number(line);
    if (operation == "Write") block(out, major, minor).*write = number(line);
  }
}

std::vector<BlockUse> io_stat(std::string_view text) {
  std::vector<BlockUse> out;
  while (!text.empty()) {
    auto line = take(text, '\n');
    unsigned major = 0, minor = 0;
    if (!device(take(line, ' '), major, minor) || line.empty()) continue;
    BlockUse& use = block(out, major, minor);
    while (!line.empty()) {
      auto value = take(line, ' ');
      const auto name = take(value, '=');
      if (name == "rbytes") use.read_bytes = number(value);
      if (name == "wbytes") use.written_bytes = number(value);
      if (name == "rios") use.reads = number(value);
      if (name == "wios") use.writes = number(value);
    }
  }
  return out;
}

void add_pids(std::string_view text, std::vector<std::int32_t>& out) {
  while (!text.empty())
    if (const auto pid = number(take(text, '\n')); pid != 0) out.push_back(static_cast<std::int32_t>(pid));
}

}  // namespace podshim::cgroup_text
