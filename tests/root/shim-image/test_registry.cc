#include "test_registry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "common/json.h"
#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/digest.h"

namespace podshim::image::test {
namespace {

// A request with its body, from `buffer` and the socket; false at the end of the connection.
bool read_request(int fd, std::string* buffer, Asked* out) {
  auto fill = [&] {
    char chunk[8192];
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n <= 0) return false;
    buffer->append(chunk, static_cast<std::size_t>(n));
    return true;
  };
  std::size_t end = 0;
  while ((end = buffer->find("\r\n\r\n")) == std::string::npos)
    if (!fill()) return false;
  std::size_t line = buffer->find("\r\n");
  std::string first = buffer->substr(0, line);
  out->method = first.substr(0, first.find(' '));
  std::string target = first.substr(out->method.size() + 1);
  target = target.substr(0, target.find(' '));
  out->target = target.substr(0, target.find('?'));
  if (target.size() > out->target.size()) out->query = target.substr(out->target.size() + 1);
  for (std::size_t at = line + 2; at < end;) {
    std::size_t stop = buffer->find("\r\n", at);
    std::string text = buffer->substr(at, stop - at);
    std::string name = text.substr(0, text.find(':'));
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    std::size_t value = text.find_first_not_of(' ', name.size() + 1);
    out->headers[name] = value == std::string::npos ? "" : text.substr(value);
    at = stop + 2;
  }
  buffer->erase(0, end + 4);
  std::size_t length = out->header("content-length").empty() ? 0 : std::stoul(out->header("content-length"));
  while (buffer->size() < length)
    if (!fill()) return false;
  out->body = buffer->substr(0, length);
  buffer->erase(0, length);
  return true;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

TestRegistry::TestRegistry(std::string layout) : layout_(std::move(layout)) {
  listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("test set-up: no loopback port");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

TestRegistry::~TestRegistry() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (auto& thread : threads) thread.join();
}

void TestRegistry::twist(Twist twist) {
  std::lock_guard lock(mutex_);
  twist_ = std::move(twist);
}

std::vector<Asked> TestRegistry::asked() const {
  std::lock_guard lock(mutex_);
  return asked_;
}

std::size_t TestRegistry::count(const std::function<bool(const Asked&)>& which) const {
  auto all = asked();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), which));
}

void TestRegistry::forget() {
  std::lock_guard lock(mutex_);
  asked_.clear();
}

void TestRegistry::accept_loop() {
  for (;;) {
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::lock_guard lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void TestRegistry::serve(int fd) {
  std::string buffer;
  Asked asked;
  while (read_request(fd, &buffer, &asked)) {
    {
      std::lock_guard lock(mutex_);
      asked_.push_back(asked);
    }
    if (!send(fd, asked, answer(asked))) break;
    asked = {};
  }
  std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

Answer TestRegistry::answer(const Asked& asked) {
  Answer out = honest(asked);
  Twist twist;
  {
    std::lock_guard lock(mutex_);
    twist = twist_;
  }
  if (twist) twist(asked, out);
  return out;
}

Answer TestRegistry::honest(const Asked& asked) const {
  auto part = asked.is_manifest() ? asked.target.rfind("/manifests/") + 11
              : asked.is_blob()   ? asked.target.rfind("/blobs/") + 7
                                  : std::string::npos;
  if (part == std::string::npos || layout_.empty()) return {};
  std::string name = asked.target.substr(part);
  if (!name.starts_with("sha256:")) {  // a tag
    auto index = json::parse(read_text(layout_ + "/index.json"));
    std::string digest;
    for (const auto& d : index->find("manifests")->as_array()) {
      const auto* annotations = d.find("annotations");
      const auto* full = annotations != nullptr ? annotations->find("org.opencontainers.image.ref.name") : nullptr;
      if (full != nullptr && full->as_string().ends_with(":" + name)) digest = d.find("digest")->as_string();
    }
    if (digest.empty()) return {.body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"};
    name = digest;
  }
  std::string path = layout_ + "/blobs/sha256/" + name.substr(7);
  if (!sys::exists(path)) return {.body = R"({"errors":[{"code":"BLOB_UNKNOWN"}]})"};
  return {.status = 200,
          .headers = {{"Docker-Content-Digest", name},
                      {"Content-Type",
                       asked.is_blob() ? "application/octet-stream" : "application/vnd.oci.image.manifest.v1+json"}},
          .body = read_text(path)};
}

bool TestRegistry::send(int fd, const Asked& asked, const Answer& answer) {
  int status = answer.status;
  std::string_view body = answer.body;
  std::string head;
  if (std::string range = asked.header("range"); answer.ranges && status == 200 && range.starts_with("bytes=")) {
    std::size_t from = std::stoul(range.substr(6));
    status = 206;
    head += "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(body.size() - 1) + "/" +
            std::to_string(body.size()) + "\r\n";
    body = body.substr(std::min(from, body.size()));
  }
  for (const auto& [name, value] : answer.headers) head += name + ": " + value + "\r\n";
  long length = answer.length == -1 ? static_cast<long>(body.size()) : answer.length;
  if (length >= 0) head += "Content-Length: " + std::to_string(length) + "\r\n";
  if (!write_all(fd, "HTTP/1.1 " + std::to_string(status) + " X\r\n" + head + "\r\n")) return false;
  if (asked.method == "HEAD") return true;
  std::string_view rest = body.substr(0, answer.cut);
  for (std::size_t sent = 0; !rest.empty();) {
    if (answer.before_piece) answer.before_piece(sent);
    if (answer.pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(answer.pause_ms));
    if (!write_all(fd, rest.substr(0, answer.piece))) return false;
    const std::size_t size = std::min(answer.piece, rest.size());
    rest.remove_prefix(size);
    sent += size;
  }
  return length == static_cast<long>(body.size()) && answer.cut >= body.size();
}

}  // namespace podshim::image::test
