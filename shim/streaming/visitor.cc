#include "shim/streaming/visitor.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kPiece = 4096;

}  // namespace

void Visitor::start(const Limits& limits, Done done) {
  done_ = std::move(done);
  deadline_.after(limits.header, [this] {
    socket_->close();
    finish({}, 0);
  });
  socket_->handshake([self = shared_from_this()](ErrorCode error) {
    if (error) return self->finish({}, 0);
    self->read();
  });
}

void Visitor::drop() {
  done_ = nullptr;
  deadline_.cancel();
  socket_->close();
}

void Visitor::read() {
  const std::size_t had = bytes_.size();
  bytes_.resize(had + kPiece);
  socket_->read_some(asio::buffer(bytes_.data() + had, kPiece),
                     [self = shared_from_this(), had](ErrorCode error, std::size_t n) {
                       self->bytes_.resize(had + n);
                       if (error || !self->done_) return self->finish({}, 0);
                       if (const auto header = header_length(self->bytes_))
                         return self->finish(std::move(self->bytes_), *header);
                       if (self->bytes_.size() >= kMaxRequestHeader) return self->finish({}, 0);
                       self->read();
                     });
}

void Visitor::finish(std::string bytes, std::size_t header) {
  deadline_.cancel();
  if (const auto done = std::exchange(done_, nullptr)) done(this, std::move(bytes), header);
}

}  // namespace podshim::streaming
