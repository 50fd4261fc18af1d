// One session of the streaming server with both its ends in the hands of a test: the client is memory, what is in the
// container is the far ends of socket pairs. The loop turns when the test says so; no thread, no port. Used by
// sessions.h. What breaks an invariant aborts. One thread.
//
// Invariants, at every turn: the heap that a session holds is bounded, whatever its client, its processes and its Pods
// do; nothing is written after the end of output. At the end: a session that may not wait for a time waits for nobody;
// it has said once that it is closed; it, its socket, its processes and its connections are gone.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/router.h"
#include "shim/streaming/session.h"
#include "shim/streaming/socket.h"
#include "tests/support/fake_runtime.h"

namespace podshim::streaming::test {

inline constexpr std::size_t kClientRoom = 4 << 20;  // what a client has sent and we have not read

void must(bool holds, const char* what);  // prints `what` and aborts

// The input of a fuzz target, read as choices; 0 after its end.
class Script {
 public:
  explicit Script(std::string_view bytes) : rest_(bytes) {}
  bool over() const { return rest_.empty(); }
  unsigned next();
  std::size_t size();  // 0..223 bytes, or up to 256 KiB in steps of 8
  std::string_view raw();

 private:
  std::string_view rest_;
};

// The server's side of a connection whose client is memory.
class ClientEnd final : public Socket {
 public:
  using Took = std::function<void(std::string_view)>;
  ClientEnd(asio::io_context& io, Took took) : Socket(io), io_(io), took_(std::move(took)) {}

  void send(std::string_view bytes);  // what has no room waits on the client's side: it is dropped here
  void end();
  void set_taking(bool on);
  std::size_t unread() const { return incoming_.size() - read_; }
  bool is_awaited() const { return !closed_ && read_done_ && unread() == 0; }
  std::size_t capacity() const { return incoming_.capacity(); }

  void handshake(std::move_only_function<void(ErrorCode)>) override { must(false, "no TLS here"); }
  void read_some(asio::mutable_buffer into, Done done) override;
  void write_some(const WriteBuffers& from, Done done) override;
  void end_output() override { output_ended_ = true; }
  void close() override;
  int native() override { return -1; }

 private:
  void complete_read();
  void complete_write();
  void complete(Done done, ErrorCode error, std::size_t n);

  asio::io_context& io_;
  const Took took_;
  std::string incoming_;
  std::size_t read_ = 0;
  asio::mutable_buffer into_;
  WriteBuffers from_;
  Done read_done_, write_done_;
  bool ended_ = false, closed_ = false, taking_ = true, output_ended_ = false;
};

// Processes and Pods: near ends for the session, far ends for the test. Port 81 refuses.
class StreamRuntime final : public podshim::test::FakeRuntime {
 public:
  Result<std::unique_ptr<ProcessStream>> open_exec(const std::string&, const std::vector<std::string>& command,
                                                   const StreamRequest& request, StreamEnd ended,
                                                   std::stop_token given_up = {}) override;
  Result<std::unique_ptr<ProcessStream>> attach(const std::string&, const StreamRequest& request,
                                                StreamEnd ended) override;
  Result<Fd> dial(const std::string&, std::uint16_t port) override;

  void act(Script& script);        // one thing that a process or a Pod does
  std::size_t take_all();          // every far end reads what is there; how much that was
  bool somebody_is_there() const;  // the session holds a near end
  int streams = 0, opened = 0, dialled = 0;
  bool takes = true;  // far ends read at every turn

 private:
  Fd near(bool* ok);
  Result<std::unique_ptr<ProcessStream>> process(const StreamRequest& request, StreamEnd ended, bool exec);

  std::vector<Fd> far_;
  std::vector<StreamEnd> running_;
};

class SessionWorld {
 public:
  explicit SessionWorld(ClientEnd::Took took, bool impatient);
  ~SessionWorld();
  void open(Route route, const std::string& head);  // `head`: the request header, what came with it
  void turn();
  void finish();  // everybody takes what comes, then the client goes

  asio::io_context& io() { return *io_; }
  const SessionContext& context() const { return context_; }
  ClientEnd& client() { return *client_; }
  std::shared_ptr<ClientEnd> socket() { return client_; }
  StreamRuntime runtime;
  bool holding = false;        // calls that block do not return
  bool pool_is_full = false;   // and no more of them are taken
  bool may_wait_long = false;  // for a deadline, with input of the client that nobody takes before

 private:
  bool run_blocked();
  void check_heap() const;

  const std::shared_ptr<asio::io_context> io_;
  SessionContext context_;
  std::shared_ptr<ClientEnd> client_;
  std::shared_ptr<Session> session_;
  std::deque<std::function<void()>> blocked_;
  int opened_ = 0, closed_ = 0;
  std::size_t heap_before_ = 0;
};

}  // namespace podshim::streaming::test
