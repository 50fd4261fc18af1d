#include "shim/streaming/forward.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "common/log.h"

namespace podshim::streaming {
namespace {

using Clock = std::chrono::steady_clock;

Result<Fd> late(const std::string& sandbox) {
  return fail(Error::of(ErrorKind::deadline_exceeded, "dial", sandbox,
                        "those before it take too long: does what listens in this Pod accept connections?"));
}

}  // namespace

void Forward::dial() {
  const std::weak_ptr<Forward> weak = weak_from_this();
  const auto until = Clock::now() + context_.limits.dial_turn;
  const auto call = [&runtime = context_.runtime, io = context_.io, sandbox = sandbox_, port = port_, weak, until] {
    if (weak.expired()) return;  // its client has gone while it waited
    auto connection = std::make_shared<Result<Fd>>(Clock::now() < until ? runtime.dial(sandbox, port) : late(sandbox));
    asio::post(*io, [weak, connection] {
      if (const auto self = weak.lock()) self->dialled(std::move(*connection));
    });
  };
  if (!context_.blocking("dial " + sandbox_, call))
    dialled(fail(Error::of(ErrorKind::resource_exhausted, "dial", sandbox_,
                           "too many connections to this Pod are being made already")));
}

void Forward::dialled(Result<Fd> connection) {
  if (owner_ == nullptr) return;
  if (!connection) return over(connection.error().text());
  dialled_ = true;
  connection_ = std::move(*connection);
  const auto copy = [this] { return Fd(::fcntl(connection_.get(), F_DUPFD_CLOEXEC, 3)); };
  Fd in = copy(), out = copy();
  if (!in || !out) return over(Error::sys("dup", sandbox_).text());
  writer_ = std::make_shared<Writer>(
      *context_.io, std::move(out), [this] { owner_->on_room(); }, [this](int error) { over(errno_name(error)); });
  reader_ = std::make_shared<Reader>(
      *context_.io, std::move(in), [this](std::string_view bytes) { owner_->on_pod_bytes(key_, bytes); },
      [this](int error) {
        const auto self = shared_from_this();  // the owner may let go of us
        reader_.reset();
        if (error != 0) return over(errno_name(error));
        in_over_ = true;
        owner_->on_pod_end(key_);
        over_if_both();
      });
  reader_->set_reading(reading_);
  const auto self = shared_from_this();
  writer_->write(std::exchange(early_, {}));
  if (owner_ != nullptr && ended_) shut_output();
  if (owner_ != nullptr) owner_->on_room();
}

void Forward::write(std::string_view bytes) {
  if (ended_) return;
  if (writer_) {
    writer_->write(bytes);
  } else if (!dialled_) {
    early_ += bytes;
  }
}

void Forward::end() {
  if (std::exchange(ended_, true)) return;
  if (writer_) shut_output();
}

void Forward::shut_output() {
  writer_->end([this] {
    if (connection_) ::shutdown(connection_.get(), SHUT_WR);
    out_over_ = true;
    over_if_both();
  });
}

void Forward::set_reading(bool on) {
  reading_ = on;
  if (reader_) reader_->set_reading(on);
}

std::size_t Forward::buffered() const { return writer_ ? writer_->buffered() : early_.size(); }

void Forward::over_if_both() {
  if (in_over_ && out_over_) over("");
}

void Forward::over(const std::string& error) {
  ForwardOwner* const owner = owner_;
  const auto self = shared_from_this();
  close();
  if (owner != nullptr) owner->on_pod_over(key_, dialled_, error);
}

void Forward::close() {
  owner_ = nullptr;
  if (const auto taken = std::exchange(reader_, nullptr)) taken->close();
  if (const auto taken = std::exchange(writer_, nullptr)) taken->close();
  connection_.reset();
}

}  // namespace podshim::streaming
