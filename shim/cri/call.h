// Call: one gRPC call, from its headers to its status; knows nothing of HTTP/2.
//
// It is read on the I/O thread, looked up in the method table and run in its lane; its answer is one message, or those
// of a MessageSource, which is asked for the next one when the one before went out. A client that cancels or goes away
// stops what waits for it alone (an ExecSync, a pull) and what has not begun; all else runs to its end, and the answer
// is dropped. What a connection has to do next is what the functions give back. All is the I/O thread's, but for what
// runs in a lane and for the wake of a source, which both come back through the inbox.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "shim/cri/border.h"
#include "shim/cri/grpc_wire.h"
#include "shim/cri/inbox.h"
#include "shim/cri/lanes.h"

namespace podshim::cri {

class Call;
using Clock = std::chrono::steady_clock;

// Headers of one call, as SETTINGS_MAX_HEADER_LIST_SIZE counts them: names, values, and kFieldOverhead for each.
inline constexpr std::size_t kMaxHeaders = 64 << 10;
inline constexpr std::size_t kFieldOverhead = 32;

std::string_view short_name(std::string_view method);  // "Version"

// A call that has something for the I/O thread: its function has returned, or its source may have a message.
struct Returned {
  std::shared_ptr<Call> call;
  enum class Why { ran, woken } why;
};

// What all calls of a server share.
struct CallContext {
  Border& border;
  Lanes& lanes;
  Inbox<Returned>& inbox;
  std::size_t held_bytes = 0;                                 // of requests and answers of all calls
  std::set<std::pair<Clock::time_point, Call*>> deadlines{};  // of open calls
};

// Which stream it is on: connections are numbered, since a call may outlive its own.
struct StreamId {
  std::uint64_t connection = 0;
  std::int32_t stream = 0;
};

class Call : public std::enable_shared_from_this<Call> {
 public:
  enum class Act {
    none,
    refuse,  // send headers with http_status() and status(), no message
    answer,  // send headers, then what read() gives, then status()
    go_on,   // ask read() again, which had said `later`
    finish,  // of an answer that has begun: its status now, or, where the client takes no data, the end of the stream
  };

  Call(CallContext& context, StreamId stream) : at(stream), context_(context) {}
  ~Call() { context_.held_bytes -= held_; }

  void header(std::string_view name, std::string_view value);
  Act data(std::string_view bytes);
  Act end_of_request();
  Act came_back(Returned::Why why);
  Act deadline_passed();
  void gone();  // the stream has closed, whoever closed it

  struct Piece {
    enum class What { bytes, last, later, end } what;  // `last`: bytes, and status() follows
    std::size_t size = 0;
  };
  Piece read(std::uint8_t* to, std::size_t room);
  int http_status() const { return http_status_; }
  const Status& status() const { return status_; }
  bool has_more() const { return stage_ == Stage::answering && !waiting_; }  // of an answer, right now

  const StreamId at;

 private:
  // `ended`: the status is known, or nobody is there to hear it. What runs in a lane still runs, and comes back.
  enum class Stage { receiving, running, answering, ended };
  Act dispatch(std::string_view request);
  Act not_begun(ErrorKind kind, std::string why);
  Act settle();
  Act end(Status status);
  void run();
  void run_in_lane(Clock::time_point deadline);
  bool next_message();
  void note_end(const Error* error);
  void note_gone(Code code);
  void forget_deadline();
  void count_bytes();
  void wake();

  CallContext& context_;
  Stage stage_ = Stage::receiving;
  std::string path_, content_type_, body_;
  std::size_t header_bytes_ = 0;
  std::optional<std::string> bad_timeout_;
  std::size_t held_ = 0;  // of context_.held_bytes
  Clock::time_point since_{}, deadline_ = Clock::time_point::max();

  const Method* method_ = nullptr;
  std::string_view request_;  // in body_
  std::uint64_t token_ = 0;
  std::stop_source given_up_;
  std::string subject_;
  Result<std::string> result_;                              // written by the lane, read after it came back
  Result<std::unique_ptr<MessageSource>> opened_{nullptr};  // the same, of a streamed answer

  OutMessage out_;
  bool waiting_ = false;             // read() said `later`
  std::atomic<bool> woken_ = false;  // and nobody came back for it yet
  int http_status_ = 200;
  Status status_;
  std::unique_ptr<MessageSource> source_;  // the first to go: after it nobody wakes
};

}  // namespace podshim::cri
