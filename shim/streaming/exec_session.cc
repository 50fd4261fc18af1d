// Exec and attach. The way of one: the client opens its channels -> the process is opened (on another thread) -> bytes
// flow -> the process has ended and its output too -> the client is told how -> the connection ends. The client may go
// at every point: then the process' stream is destroyed, which ends an exec and leaves an attached container alone.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <optional>
#include <stop_token>

#include "common/log.h"
#include "shim/streaming/channels.h"
#include "shim/streaming/pump.h"
#include "shim/streaming/session.h"

namespace podshim::streaming {
namespace {

using Opened = Result<std::unique_ptr<ProcessStream>>;

Fd duplicate(const Fd& fd) { return fd ? Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)) : Fd(); }

class ExecSession final : public Session, private ChannelHandler, public std::enable_shared_from_this<ExecSession> {
 public:
  ExecSession(const SessionContext& context, Order order, std::unique_ptr<Channels> channels)
      : context_(context),
        order_(std::move(order)),
        channels_(std::move(channels)),
        deadline_(*context.io),
        grandchild_(*context.io) {}
  ~ExecSession() override { close_pumps(); }

  void start() override {
    deadline_.after(context_.limits.streams, [this] {
      channels_->abort();
      on_gone("timed out waiting for the client to open: " + channels_->missing());
    });
    channels_->start(this);
  }

  void abort() override {
    channels_->abort();
    release();
  }

 private:
  enum class Stage { channels, opening, running, finishing, gone };

  // ---- the client
  void on_ready() override {
    deadline_.cancel();
    stage_ = Stage::opening;
    const std::weak_ptr<ExecSession> weak = weak_from_this();
    const auto io = context_.io;
    StreamEnd ended = [io, weak](Result<int> how) {  // any thread, any time
      asio::post(*io, [weak, how = std::move(how)] {
        if (const auto self = weak.lock()) self->process_ended(how);
      });
    };
    const std::string lane = "open " + (order_.sandbox.empty() ? order_.id : order_.sandbox);
    const bool taken = context_.blocking(
        lane, [&runtime = context_.runtime, order = order_, ended, io, weak, given_up = client_gone_.get_token()] {
          if (weak.expired()) return;  // its client has gone while it waited
          auto opened = std::make_shared<Opened>(
              order.kind == Kind::exec ? runtime.open_exec(order.id, order.command, order.streams, ended, given_up)
                                       : runtime.attach(order.id, order.streams, ended));
          asio::post(*io, [weak, opened] {
            if (const auto self = weak.lock()) self->process_opened(std::move(*opened));
          });
        });
    if (!taken) finish({.error = "too many streams of this Pod are being opened"});
  }

  void on_input(std::string_view bytes) override {
    if (ended_ || stage_ > Stage::running) return;
    if (in_) {
      in_->write(bytes);
    } else if (stage_ < Stage::running) {
      early_input_ += bytes;
    }
    if ((in_ ? in_->buffered() : early_input_.size()) > kInputHigh) channels_->carrier().set_reading(false);
  }

  void on_input_end() override {
    input_ended_ = true;
    if (stage_ == Stage::running) end_input();
  }

  void on_resize(TerminalSize size) override {
    size_ = size;
    if (stage_ == Stage::running) apply_size();
  }

  void on_refused(Channel channel) override {
    auto& reader = channel == Channel::out ? out_ : err_;
    if (!reader) return;
    reader->close();
    reader.reset();
    finish_if_over();
  }

  void on_drained() override {
    for (const auto& reader : {out_, err_})
      if (reader) reader->set_reading(true);
  }

  void on_gone(const std::string& why) override {
    if (stage_ == Stage::gone) return;
    if (!why.empty())
      log::info("stream cut", {{"kind", kind_path(order_.kind)}, {"container", order_.id}, {"why", why}});
    release();
    context_.closed(this);
  }

  // ---- the process
  void process_opened(Opened opened) {
    if (stage_ != Stage::opening) return;  // the client has gone: `opened` ends the process
    if (!opened)
      return finish({.error = (order_.kind == Kind::exec ? "error executing command in container: "
                                                         : "error attaching to container: ") +
                              opened.error().text()});
    stage_ = Stage::running;
    stream_ = std::move(*opened);
    // An exec's terminal is both its ends; an attached container's output comes by `out` in any case.
    const bool terminal = bool(stream_->terminal);
    out_ = reader(terminal && order_.kind == Kind::exec ? duplicate(stream_->terminal) : std::move(stream_->out),
                  Channel::out);
    err_ = reader(std::move(stream_->err), Channel::err);
    if (Fd in = terminal && order_.streams.in ? duplicate(stream_->terminal) : std::move(stream_->in))
      in_ = std::make_shared<Writer>(
          *context_.io, std::move(in), [this] { channels_->carrier().set_reading(true); }, [](int) {});
    if (size_) apply_size();
    if (in_) in_->write(early_input_);
    early_input_ = {};
    if (!in_ || in_->buffered() <= kInputHigh) channels_->carrier().set_reading(true);
    if (input_ended_) end_input();
    for (const auto& r : {out_, err_})
      if (r) r->start();
    if (ended_) after_end();
  }

  std::shared_ptr<Reader> reader(Fd fd, Channel channel) {
    if (!fd) return nullptr;
    return std::make_shared<Reader>(
        *context_.io, std::move(fd),
        [this, channel](std::string_view bytes) {
          channels_->write(channel, bytes);
          if (channels_->carrier().queued() < kOutputHigh) return;
          for (const auto& r : {out_, err_})
            if (r) r->set_reading(false);
        },
        [this, channel](int) {  // EIO, the end of a terminal, is an end like any other
          (channel == Channel::out ? out_ : err_).reset();
          channels_->end(channel);
          finish_if_over();
        });
  }

  void end_input() {
    const auto tell = [this] {
      in_.reset();  // our end of the pipe goes first
      if (stream_) stream_->end_stdin();
    };
    if (!in_) return tell();
    in_->end([this, tell] {
      in_->close();
      tell();
    });
  }

  void apply_size() const {
    if (!stream_ || !stream_->terminal) return;
    winsize size{.ws_row = size_->height, .ws_col = size_->width};
    ::ioctl(stream_->terminal.get(), TIOCSWINSZ, &size);
  }

  void process_ended(Result<int> how) {
    if (stage_ >= Stage::finishing) return;
    ended_ = std::move(how);
    if (stage_ == Stage::running) after_end();
  }

  void after_end() {
    channels_->carrier().set_reading(true);  // what still comes is dropped
    channels_->carrier().expect_progress();
    grandchild_.after(context_.limits.grandchild, [this] {
      for (const auto& r : {out_, err_})
        if (r) r->only_what_waits();
    });
    finish_if_over();
  }

  void finish_if_over() {
    if (stage_ != Stage::running || !ended_ || out_ || err_) return;
    finish(*ended_ ? Outcome{.exit_code = **ended_} : Outcome{.error = ended_->error().text()});
  }

  void finish(const Outcome& outcome) {
    close_pumps();
    stage_ = Stage::finishing;
    stream_.reset();
    channels_->carrier().set_reading(true);
    channels_->finish(outcome);
  }

  void close_pumps() {
    grandchild_.cancel();
    for (auto* r : {&out_, &err_})
      if (const auto taken = std::exchange(*r, nullptr)) taken->close();
    if (const auto taken = std::exchange(in_, nullptr)) taken->close();
  }

  void release() {
    stage_ = Stage::gone;
    client_gone_.request_stop();
    deadline_.cancel();
    close_pumps();
    stream_.reset();
  }

  const SessionContext& context_;
  const Order order_;
  Stage stage_ = Stage::channels;
  std::unique_ptr<Channels> channels_;
  std::stop_source client_gone_;  // for the call that opens the process
  std::unique_ptr<ProcessStream> stream_;
  std::shared_ptr<Reader> out_, err_;
  std::shared_ptr<Writer> in_;
  std::string early_input_;  // before the process was there
  bool input_ended_ = false;
  std::optional<TerminalSize> size_;
  std::optional<Result<int>> ended_;
  Timer deadline_, grandchild_;
};

}  // namespace

std::shared_ptr<Session> exec_session(const SessionContext& context, Order order, const Protocol& protocol,
                                      Transport transport, std::shared_ptr<Carrier> carrier) {
  auto channels = transport == Transport::spdy ? spdy_channels(std::move(carrier), protocol, order.streams)
                                               : websocket_channels(std::move(carrier), protocol, order.streams);
  return std::make_shared<ExecSession>(context, std::move(order), std::move(channels));
}

}  // namespace podshim::streaming
