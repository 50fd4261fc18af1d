#include "shim/monitor/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "common/fault.h"
#include "common/sys/file.h"

namespace podshim {
namespace {

constexpr const char* kComplaints = "monitor.log";

}  // namespace

Monitor::Monitor(Loop& loop, Fd listener, Fd dir)
    : loop_(loop), listener_(std::move(listener)), dir_(std::move(dir)), buffer_(new char[kReadBuffer]) {}

Result<> Monitor::open(Fd first_connection) {
  self_ = TRY(open_self());
  // Orphans of containers in the host's pid namespace come here instead of to the host's init.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  signals_ = Fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail(Error::sys("signalfd", "monitor"));
  TRY(loop_.add(signals_, &on_signals_));
  TRY(loop_.add(listener_, &on_listener_));
  adopt_connection(std::move(first_connection));
  return {};
}

void Monitor::accept_daemon() {
  auto socket = sys::seqpacket_accept(listener_);
  if (!socket) return;
  auto uid = sys::peer_uid(*socket);
  if (!uid || *uid != 0) return;  // closed: only root speaks with a monitor
  adopt_connection(std::move(*socket));
}

void Monitor::adopt_connection(Fd socket) {
  if (!socket) return;
  auto connection = std::make_unique<Connection>(*this, loop_, std::move(socket), ++connections_);
  if (auto listening = connection->listen(); !listening) return complain(listening.error());
  connection_ = std::move(connection);
}

void Monitor::connection_lost(Connection& connection) {
  if (connection_.get() == &connection) connection_.reset();
}

void Monitor::take_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM) loop_.stop();  // containers follow by their parent_death step
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) reap(pid, status);
}

void Monitor::handle(Connection& connection, Request& request) {
  if (!connection.greeted && request.header.type != MessageType::hello)
    return connection.send_error(request.header.request,
                                 Error::of(ErrorKind::failed_precondition, "monitor", "request", "hello comes first"));
  fault_point("request");
  auto result = answer(request);
  fault_point("answer");
  if (!result) {
    connection.send_error(request.header.request, result.error());
  } else if (*result) {
    connection.greeted = true;
    connection.send(MessageType::reply, request.header.request, **result, std::move(request.answer_fd));
  }
}

Monitor::Answer Monitor::answer(Request& request) {
  switch (request.header.type) {
    case MessageType::hello:
      return hello(request);
    case MessageType::start_pause:
      return start_pause(request);
    case MessageType::set_shm:
      return set_shm(request);
    case MessageType::create_container:
      return create_container(request);
    case MessageType::start_container:
      return start_container(request);
    case MessageType::signal_container:
      return signal_container(request);
    case MessageType::remove_container:
      return remove_container(request);
    case MessageType::reopen_log:
      return reopen_log(request);
    case MessageType::start_exec:
      return start_exec(request);
    case MessageType::kill_exec:
      return kill_exec(request);
    case MessageType::state:
      return state();
    case MessageType::shutdown:
      return shutdown(request);
    case MessageType::attach:
      return attach(request);
    case MessageType::close_stdin:
      return close_stdin(request);
    default:
      break;
  }
  return fail(Error::of(ErrorKind::unimplemented, "monitor", "request",
                        "type " + std::to_string(static_cast<unsigned>(request.header.type))));
}

void Monitor::event(MessageType type, std::string_view record) {
  if (connection_ && connection_->greeted) connection_->send(type, 0, record);
}

// Errors that nobody waits for: a file in the sandbox's directory, made with the first of them.
void Monitor::complain(const Error& error) {
  auto file = sys::open_at(dir_, kComplaints, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (file) (void)sys::write_all(*file, error.text() + "\n", kComplaints);
}

}  // namespace podshim
