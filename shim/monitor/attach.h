// Attachments: clients of the daemon's that watch one container's output. Each chunk that was logged is also written to
// their pipes, without ever waiting: a pipe that is full loses its client. The container, its log and the other clients
// are as if nobody watched.
//
// An attachment ends once, and its owner is told: when all it watches has ended, when all its readers have gone (also
// by the death of their daemon), or because it could not keep up. At most kMaxAttachments at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "shim/monitor/log_writer.h"
#include "shim/monitor/loop.h"

namespace podshim {

inline constexpr std::size_t kMaxAttachments = 16;

class AttachOwner {
 public:
  virtual void attach_ended(std::uint64_t id, std::uint64_t connection, bool lost) = 0;

 protected:
  ~AttachOwner() = default;
};

struct AttachSinks {
  std::uint64_t id = 0, connection = 0;
  Fd out, err;         // write ends of pipes, non-blocking
  bool quiet = false;  // nothing is written: `out` only tells the end, each side to the other
};

class Attachments {
 public:
  Attachments(Loop& loop, AttachOwner& owner) : loop_(loop), owner_(owner) {}
  ~Attachments();
  Attachments(const Attachments&) = delete;
  Attachments& operator=(const Attachments&) = delete;

  Result<> add(AttachSinks sinks);
  bool empty() const { return all_.empty(); }
  void write(LogStream stream, std::string_view data);
  void end(LogStream stream);

 private:
  struct Attachment;
  struct Sink final : Watch {
    void ready(std::uint32_t events) override;
    Attachment* attachment = nullptr;
    Fd fd;
  };
  struct Attachment {
    Attachments* all = nullptr;
    std::uint64_t id = 0, connection = 0;
    bool quiet = false;
    Sink sinks[2];
  };
  enum class Delivery { whole, no_reader, no_room };

  static Delivery deliver(const Sink& sink, std::string_view data);
  void close(Sink& sink);
  void close_and_look(Attachment& attachment, Sink& sink);  // the last one ends the attachment
  void finish(const Attachment& attachment, bool lost);

  Loop& loop_;
  AttachOwner& owner_;
  std::vector<std::unique_ptr<Attachment>> all_;
};

}  // namespace podshim
