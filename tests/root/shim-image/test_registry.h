// TestRegistry: a registry on a loopback port of its own, honest unless told otherwise. It serves an OCI layout
// directory under /v2/<any name>/ by tag (the name's last part after ':' in the annotation) and digest, remembers what
// it was asked, and does to each answer what the test's `twist` says. A thread for each connection.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/fd.h"

namespace podshim::image::test {

struct Asked {
  std::string method, target;  // target without the query
  std::string query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
  bool is_blob() const { return target.find("/blobs/") != std::string::npos; }
  bool is_manifest() const { return target.find("/manifests/") != std::string::npos; }
};

struct Answer {
  int status = 404;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  long length = -1;            // the Content-Length to claim; -1 = the body's; -2 = none, and the end closes
  std::size_t cut = SIZE_MAX;  // close after so many bytes of the body
  int pause_ms = 0;            // before each `piece` of the body
  std::size_t piece = SIZE_MAX;
  std::function<void(std::size_t sent)> before_piece;  // may wait; bytes of this answer's body that were sent so far
  bool ranges = true;                                  // honour Range
};

class TestRegistry {
 public:
  using Twist = std::function<void(const Asked&, Answer&)>;
  explicit TestRegistry(std::string layout = "");
  ~TestRegistry();
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;

  void twist(Twist twist);
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return "http://" + host(); }
  std::vector<Asked> asked() const;
  std::size_t count(const std::function<bool(const Asked&)>& which) const;
  void forget();

 private:
  void accept_loop();
  void serve(int fd);
  Answer answer(const Asked& asked);
  Answer honest(const Asked& asked) const;
  bool send(int fd, const Asked& asked, const Answer& answer);

  const std::string layout_;
  Fd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;  // guards all below
  Twist twist_;
  std::vector<Asked> asked_;
  std::vector<std::thread> threads_;
  std::vector<int> open_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace podshim::image::test
