// MessageSource: a streamed answer, message by message, at the pace of the client.
//
// The server asks for the next message only after the one before went out, so a source makes no more than its client
// takes, and no thread waits for either. next() never blocks; it is called by one thread at a time, on any. After
// `later` the server waits for the source's Wake, which was given to it when it was opened: any thread, any number of
// times, at any time until the source's destructor has returned, also while next() runs; it does not block and may be
// called with locks held that next() takes. An error ends the stream with its gRPC code. Destroyed when the stream has
// ended, whoever ended it.
#pragma once

#include <functional>
#include <string>

#include "common/result.h"

namespace podshim::cri {

using Wake = std::function<void()>;

class MessageSource {
 public:
  enum class Next { message, later, end };
  virtual ~MessageSource() = default;
  virtual Result<Next> next(std::string* message) = 0;
};

}  // namespace podshim::cri
