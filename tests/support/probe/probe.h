// probe: the one program of the test images, static. Serves HTTP and UDP under a name, and asks others.
//
//   probe serve [--port P] [--udp-port P] [--name NAME] [--not-ready] [--ready-after MS] [--log]
//   probe get URL [--count N] [--timeout MS] [--interval MS] [--status] [--tally]
//   probe udp HOST:PORT [--count N] [--timeout MS] [--interval MS] [--same-socket] [--text TEXT] [--tally]
//   probe connect HOST:PORT [--timeout MS]      prints connected, refused, unreachable or timeout
//   probe pause                                 waits for SIGTERM or SIGINT
//
// The server: /name, /client (the client's address), / (both), /ready (200 or 503), /ready/on, /ready/off, /live with
// the same switches, /slow?ms=, /env, /file?path=, /headers, /exit?code=. UDP answers "<name> <what came>". HOST is an
// address, "localhost" or a name of /etc/hosts: a static glibc has no resolver to rely on. Exit codes: 0 every answer
// came (and was 2xx), 1 one did not, 2 bad usage.
#pragma once

#include <netinet/in.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace probe {

// "--name value" pairs and bare "--flags" after the positional arguments; exits 2 on what is not in `known`.
class Options {
 public:
  Options(int argc, char** argv, std::vector<std::string> known, std::vector<std::string> flags);
  bool flag(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& fallback) const;
  int number(const std::string& name, int fallback) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> positional_;
};

[[noreturn]] void usage(const std::string& why);
void sleep_ms(int ms);

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
};
// "10.43.0.1", "fd00::1", "[fd00::1]", "localhost", or a name of /etc/hosts.
std::optional<Address> resolve(std::string_view host, int port);
// "10.42.0.5:4711"; an IPv4 client of an IPv6 socket is shown as IPv4.
std::string show(const sockaddr_storage& address, bool with_port);
// "host:port" or "[v6]:port".
bool split_host_port(std::string_view text, std::string* host, int* port, int default_port);

// How often each answer came; prints "count answer" lines, the most frequent first.
class Tally {
 public:
  void add(const std::string& answer) { counts_[answer]++; }
  void print() const;

 private:
  std::map<std::string, int> counts_;
};

int serve(const Options& options);
int serve_udp(int port, const std::string& name);  // never returns but for an error
int get(const Options& options);
int udp(const Options& options);
int connect_only(const Options& options);

}  // namespace probe
