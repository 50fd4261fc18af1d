// Exec with a client. What the monitor tells (the end) and what the client does (going away) come on different threads
// in any order; the leaf is given back when the exec has ended and nothing kills it any more. What may block is done by
// the stream chores, kills by their own thread.
#include <fcntl.h>

#include "common/log.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/lifecycle/stream_pipe.h"

namespace podshim::lifecycle {

struct NodeRuntime::ExecSession {
  ExecSession(std::shared_ptr<LeafHold> l, StreamEnd e) : ended_call(std::move(e)), leaf(std::move(l)) {}

  const StreamEnd ended_call;

  std::mutex mutex;                // guards what follows
  std::shared_ptr<LeafHold> leaf;  // null: it has ended
};

class NodeRuntime::ExecStream final : public ProcessStream {
 public:
  explicit ExecStream(NodeRuntime& runtime) : runtime_(runtime) {}
  ~ExecStream() override {
    if (session_) runtime_.stream_dropped(session_);
  }
  void end_stdin() override { in.reset(); }
  void begun(std::shared_ptr<ExecSession> session) { session_ = std::move(session); }

 private:
  NodeRuntime& runtime_;
  std::shared_ptr<ExecSession> session_;
};

namespace {

Result<Fd> another(const Fd& fd) {
  Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail(Error::sys("fcntl", "terminal"));
  return copy;
}

}  // namespace

Result<std::unique_ptr<ProcessStream>> NodeRuntime::open_exec(const std::string& id,
                                                              const std::vector<std::string>& command,
                                                              const StreamRequest& request, StreamEnd ended,
                                                              std::stop_token given_up) {
  auto container = TRY(find_for_exec(id, command));
  auto leaf = take_leaf(container);
  auto session = std::make_shared<ExecSession>(leaf, std::move(ended));
  auto stream = make_exec_stream(session, leaf, command, request, given_up);
  if (stream) return stream;
  return fail(std::move(stream).error().within("exec in container " + container->id.brief()));
}

Result<std::unique_ptr<ProcessStream>> NodeRuntime::make_exec_stream(const std::shared_ptr<ExecSession>& session,
                                                                     const std::shared_ptr<LeafHold>& leaf,
                                                                     const std::vector<std::string>& command,
                                                                     const StreamRequest& request,
                                                                     const std::stop_token& given_up) {
  auto stream = std::make_unique<ExecStream>(*this);
  auto stdio = TRY(make_stdio(*leaf->container, request, *stream));
  auto done = [this, session](Result<int> code) { session_ended(session, std::move(code)); };
  const ExecWait wait{.patience = parts_.exec_patience, .given_up = given_up};
  if (auto begun = begin_exec(*leaf, command, std::move(stdio), std::move(done), wait); !begun)
    return fail(end_start("Exec", leaf, command, wait, std::move(begun).error()));
  stream->begun(session);
  return stream;
}

Result<NodeRuntime::ExecStdio> NodeRuntime::make_stdio(const Container& container, const StreamRequest& request,
                                                       ProcessStream& stream) const {
  ExecStdio stdio{.in = {}, .out = {}, .err = {}, .tty = request.tty};
  if (request.tty) {
    auto terminal = TRY(host().open_terminal(container.copy().process));
    stream.terminal = std::move(terminal.master);
    stdio.out = TRY(another(terminal.slave));
    stdio.err = TRY(another(terminal.slave));
    stdio.in = std::move(terminal.slave);
    return stdio;
  }
  if (request.in) TRY(make_stream_pipe(&stream.in, &stdio.in, PipeUse::to_process));
  if (request.out) TRY(make_stream_pipe(&stream.out, &stdio.out, PipeUse::from_process));
  if (request.err) TRY(make_stream_pipe(&stream.err, &stdio.err, PipeUse::from_process));
  return stdio;
}

// The monitor loop's thread.
void NodeRuntime::session_ended(const std::shared_ptr<ExecSession>& session, Result<int> code) {
  std::shared_ptr<LeafHold> leaf;
  {
    std::lock_guard lock(session->mutex);
    leaf = std::move(session->leaf);
  }
  session->ended_call(std::move(code));
  stream_chores_.post([leaf = std::move(leaf)]() mutable { leaf = nullptr; });
}

void NodeRuntime::stream_dropped(const std::shared_ptr<ExecSession>& session) {
  std::shared_ptr<LeafHold> leaf;
  {
    std::lock_guard lock(session->mutex);
    leaf = session->leaf;
  }
  if (leaf) (void)kill_exec(std::move(leaf));
}

}  // namespace podshim::lifecycle
