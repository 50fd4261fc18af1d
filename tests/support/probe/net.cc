#include <arpa/inet.h>
#include <netdb.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "probe.h"

namespace probe {

void usage(const std::string& why) {
  std::fprintf(stderr, "probe: %s\n", why.c_str());
  std::exit(2);
}

void sleep_ms(int ms) {
  timespec t{.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1'000'000L};
  ::nanosleep(&t, nullptr);
}

Options::Options(int argc, char** argv, std::vector<std::string> known, std::vector<std::string> flags) {
  auto has = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (int i = 2; i < argc; i++) {
    std::string arg = argv[i];
    if (!arg.starts_with("--")) {
      positional_.push_back(arg);
      continue;
    }
    std::string name = arg.substr(2);
    if (has(flags, name)) {
      values_[name] = "";
    } else if (has(known, name) && i + 1 < argc) {
      values_[name] = argv[++i];
    } else {
      usage("unknown option or missing value: " + arg);
    }
  }
}

std::string Options::text(const std::string& name, const std::string& fallback) const {
  auto it = values_.find(name);
  return it == values_.end() ? fallback : it->second;
}

int Options::number(const std::string& name, int fallback) const {
  auto it = values_.find(name);
  if (it == values_.end()) return fallback;
  int out = 0;
  const std::string& s = it->second;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
  if (error != std::errc() || end != s.data() + s.size() || out < 0) usage("--" + name + " " + s + " is not a number");
  return out;
}

static std::optional<Address> literal(const std::string& host, int port) {
  Address out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  auto wire = htons(static_cast<uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = wire;
    out.size = sizeof *v4;
    return out;
  }
  if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = wire;
    out.size = sizeof *v6;
    return out;
  }
  return std::nullopt;
}

std::optional<Address> resolve(std::string_view host, int port) {
  std::string name(host);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  if (auto address = literal(name, port)) return address;
  std::ifstream hosts("/etc/hosts");
  for (std::string line; std::getline(hosts, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string address, word;
    words >> address;
    while (words >> word) {
      if (word == name) return literal(address, port);
    }
  }
  if (name == "localhost") return literal("127.0.0.1", port);
  return std::nullopt;
}

std::string show(const sockaddr_storage& address, bool with_port) {
  char text[INET6_ADDRSTRLEN] = "?";
  int port = 0;
  bool six = address.ss_family == AF_INET6;
  if (six) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      six = false;
      ::inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
  } else {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    port = ntohs(v4->sin_port);
    ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  }
  if (!with_port) return text;
  return (six ? "[" + std::string(text) + "]" : std::string(text)) + ":" + std::to_string(port);
}

bool split_host_port(std::string_view text, std::string* host, int* port, int default_port) {
  *port = default_port;
  auto colon = text.rfind(':');
  bool has_port = colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  *host = has_port ? text.substr(0, colon) : text;
  if (has_port) {
    std::string_view digits = text.substr(colon + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *port);
    if (error != std::errc() || end != digits.data() + digits.size()) return false;
  }
  return !host->empty() && *port > 0 && *port < 65536;
}

void Tally::print() const {
  std::vector<std::pair<int, std::string>> rows;
  for (const auto& [answer, count] : counts_) rows.emplace_back(-count, answer);
  std::sort(rows.begin(), rows.end());
  for (const auto& [count, answer] : rows) std::printf("%6d %s\n", -count, answer.c_str());
}

}  // namespace probe
