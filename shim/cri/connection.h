// Connection: HTTP/2 with one client, as gRPC speaks it; libnghttp2 is behind connection.cc. It reads and writes the
// socket when told to and never blocks; calls get what comes, and what they want done is done here.
//
// What clients of CRI send is not held against the grammar of HTTP: Go's of before 2023 have the path of the socket as
// :authority. receive() and flush() give false when the connection is over, and an error that names the client's
// process when it breaks the protocol: the caller drops it, its calls are told. The I/O thread's alone.
#pragma once

#include <memory>
#include <unordered_map>

#include "common/fd.h"
#include "shim/cri/call.h"

struct nghttp2_session;

namespace podshim::cri {

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(Fd socket, std::uint64_t number, CallContext& context);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return socket_.get(); }
  Result<bool> receive();
  Result<bool> flush();
  bool blocked() const { return sent_ < out_.size(); }  // the socket takes no more for now
  bool has_more() const;                                // of answers, that the client has not taken yet
  void do_next(Call& call, Call::Act act);
  void say_goodbye();  // no new calls; flush() sends it

 private:
  struct Callbacks;  // of nghttp2, in connection.cc
  Connection(Fd socket, std::uint64_t number, CallContext& context)
      : socket_(std::move(socket)), number_(number), context_(context) {}
  Result<> start();
  int refuse(Call& call);
  int answer(Call& call);
  int finish(Call& call);
  Error broken(long code) const;

  const Fd socket_;
  const std::uint64_t number_;
  CallContext& context_;
  std::string client_;  // "pid 17"
  std::string why_;     // what libnghttp2 says of the client's mistake
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::shared_ptr<Call>> calls_;  // by stream
  std::string out_;
  std::size_t sent_ = 0;  // of out_
};

}  // namespace podshim::cri
