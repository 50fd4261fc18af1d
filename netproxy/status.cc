#include "netproxy/status.h"

#include <cstdio>
#include <ctime>

#include "common/json.h"
#include "common/sys/file.h"

namespace podshim::netproxy {
namespace {

constexpr std::size_t kSmall = 500;  // Services
constexpr auto kPause = std::chrono::seconds(1);

std::string now_text() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
  return out;
}

std::string quoted(const std::string& text) { return json::dump(json::Value(text)); }

std::string endpoints_text(const ServiceModel& model) {
  std::string out;
  for (const auto& port : model.ports) {
    auto name = port.name.empty() ? std::to_string(port.port) : port.name;
    if (port.family == Family::v6) name += " (IPv6)";
    out += (out.empty() ? "" : ", ") + quoted(name) + ": [";
    bool first = true;
    for (const auto& b : port.backends) {
      out += (first ? "\"" : ", \"") + b.str() + "\"";
      first = false;
    }
    out += "]";
  }
  return "{" + out + "}";
}

}  // namespace

Status::Status(std::string path, const std::vector<Cidr>& node_port_addresses) : path_(std::move(path)) {
  auto list = json::Value::array();
  for (const auto& cidr : node_port_addresses) list.push(cidr.str());
  head_ = "\"nodePortAddresses\": " + json::dump(list);
}

void Status::next_generation() {
  generation_++;
  stamp_ = now_text();
  dirty_ = true;
}

void Status::acknowledged(const ServiceModel& model, double latency_ms) {
  char number[32];
  std::snprintf(number, sizeof number, "%.3f", latency_ms);
  auto& entry = services_[model.key];
  entry.trouble.clear();
  entry.text = "\"generation\": " + std::to_string(generation_) + ", \"acknowledged\": \"" + stamp_ +
               "\", \"latencyMs\": " + number + ", \"endpoints\": " + endpoints_text(model);
  entry.text.shrink_to_fit();
  dirty_ = true;
}

void Status::removed(const std::string& key) {
  services_.erase(key);
  dirty_ = true;
}

void Status::trouble(const std::string& key, std::string what, std::string why) {
  services_[key].trouble = quoted(what) + ": " + quoted(why);
  dirty_ = true;
}

std::optional<Clock::time_point> Status::due() const {
  if (!dirty_ || path_.empty()) return std::nullopt;
  return services_.size() <= kSmall ? Clock::time_point{} : written_ + kPause;
}

std::string Status::text() const {
  std::string out = "{\"generation\": " + std::to_string(generation_) + ", \"acknowledged\": \"" + stamp_ + "\", " +
                    head_ + ", \"services\": {";
  bool first = true;
  for (const auto& [key, entry] : services_) {
    out += (first ? "\n  " : ",\n  ") + quoted(key) + ": {" + entry.text;
    if (!entry.trouble.empty()) out += (entry.text.empty() ? "" : ", ") + entry.trouble;
    out += "}";
    first = false;
  }
  return out + "\n}}\n";
}

Result<> Status::write(Clock::time_point now) {
  dirty_ = false;
  written_ = now;
  if (path_.empty()) return {};
  auto done = sys::write_file_atomic(path_, text());
  if (done || !done.error().is(ENOENT)) return done;
  auto slash = path_.rfind('/');
  if (slash == std::string::npos || slash == 0) return done;
  TRY(sys::make_dirs(path_.substr(0, slash)));
  return sys::write_file_atomic(path_, text());
}

}  // namespace podshim::netproxy
