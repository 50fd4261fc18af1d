// Attach: the monitor copies the container's output into pipes of ours and lends its stdin (shim/monitor/attach.h).
#include "common/log.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/lifecycle/stream_pipe.h"

namespace podshim::lifecycle {

// Dropping the pipes is all that an end takes: the monitor sees that they have no reader.
class NodeRuntime::AttachStream final : public ProcessStream {
 public:
  AttachStream(NodeRuntime& runtime, std::shared_ptr<Container> container)
      : runtime_(runtime), container_(std::move(container)) {}
  ~AttachStream() override { end_stdin(); }
  void end_stdin() override {
    in.reset();
    if (std::exchange(ends_stdin, false)) runtime_.close_stdin_of(container_);
  }
  Fd quiet;  // tells the end to the monitor where no output does
  bool ends_stdin = false;

 private:
  NodeRuntime& runtime_;
  const std::shared_ptr<Container> container_;
};

Result<std::unique_ptr<ProcessStream>> NodeRuntime::attach(const std::string& id, const StreamRequest& request,
                                                           StreamEnd ended) {
  auto container = TRY(find_container(id));
  const ContainerSpec& spec = container->record.spec;
  if (container->state() != ContainerState::running)
    return fail(
        Error::of(ErrorKind::failed_precondition, "attach", container->id.str(), "the container is not running"));
  auto monitor = TRY(monitor_of(*container->sandbox));
  // A terminal is lent for its size, too.
  MonitorProcess::AttachPipes pipes{.in = request.in || spec.tty};
  auto stream = std::make_unique<AttachStream>(*this, container);
  const bool err = request.err && !spec.tty;
  pipes.quiet = !request.out && !err;
  if (request.out) TRY(make_stream_pipe(&stream->out, &pipes.out, PipeUse::sink));
  if (err) TRY(make_stream_pipe(&stream->err, &pipes.err, PipeUse::sink));
  if (pipes.quiet) TRY(make_stream_pipe(&stream->quiet, &pipes.out, PipeUse::sink));
  auto input = monitor->attach(container->id, std::move(pipes), std::move(ended));
  if (!input) return fail(std::move(input).error().within("attach to container " + container->id.brief()));
  stream->ends_stdin = request.in && spec.stdin_once && !spec.tty;
  (spec.tty ? stream->terminal : stream->in) = *std::move(input);
  return stream;
}

void NodeRuntime::close_stdin_of(const std::shared_ptr<Container>& container) {
  stream_chores_.post([container] {
    auto monitor = container->sandbox->live_monitor();
    if (!monitor || container->state() != ContainerState::running) return;
    if (auto closed = monitor->close_stdin(container->id); !closed && container->state() == ContainerState::running)
      log::warn("stdin not closed", {{"container", container->id.str()}, {"error", closed.error().text()}});
  });
}

}  // namespace podshim::lifecycle
