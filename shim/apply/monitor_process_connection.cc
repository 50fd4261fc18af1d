#include "shim/apply/monitor_process_connection.h"

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/memfd.h"

namespace podshim {
namespace {

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

Result<ContainerId> id_of(const WireId& id) { return ContainerId::parse(std::string(id.view())); }

}  // namespace

MonitorConnection::MonitorConnection(MonitorEvents& events, SandboxId id, Fd socket)
    : events_(events), id_(std::move(id)), socket_(std::move(socket)) {}

Error MonitorConnection::gone_error() const {
  return Error::of(ErrorKind::unavailable, "monitor", id_.str(), "it has ended, or another daemon took over");
}

Result<> MonitorConnection::send(const MessageHeader& header, std::string_view payload, std::span<const int> fds,
                                 Clock::time_point deadline) {
  MessageHeader sent = header;
  std::vector<int> all;
  Fd memfd;
  if (payload.size() > kInlinePayload) {
    memfd = TRY(sys::sealed_memfd("podshim-message", sys::MemfdKind::data, std::span(&payload, 1)));
    all.push_back(memfd.get());
    sent.flags |= kPayloadInMemfd;
    payload = {};
  }
  all.insert(all.end(), fds.begin(), fds.end());
  const std::string_view parts[] = {bytes_of(sent), payload};
  auto result = sys::send_packet_wait(socket_, parts, all, deadline);
  if (result) return result;
  if (result.error().is(ETIMEDOUT))
    return fail(Error::of(ErrorKind::deadline_exceeded, "monitor", id_.str(), "it takes no requests"));
  if (result.error().is(EPIPE) || result.error().is(ECONNRESET)) return fail(gone_error());
  return result;
}

Result<std::string> MonitorConnection::call(MessageType type, std::string_view payload, std::span<const int> fds,
                                            std::uint64_t session, const CallLimit& limit, Fd* answer_fd) {
  if (std::this_thread::get_id() == loop_thread_)
    return fail(Error::of(ErrorKind::internal, "monitor", id_.str(), "called from an event"));
  if (payload.size() > kMaxPayload)
    return fail(Error::of(ErrorKind::resource_exhausted, "monitor", "program too large"));
  Pending pending;
  pending.session = session;
  MessageHeader header{.type = type, .length = static_cast<std::uint32_t>(payload.size())};
  {
    std::lock_guard lock(mutex_);
    if (broken_) return fail(gone_error());
    header.request = next_request_++;
    pending_[header.request] = &pending;
  }
  fault_point("ask monitor");
  auto sent = send(header, payload, fds, limit.deadline);
  if (sent) {
    const std::stop_callback wake(limit.given_up, [&] {
      std::lock_guard lock(mutex_);
      pending.given_up = true;
      pending.ready.notify_one();
    });
    std::unique_lock lock(mutex_);
    pending.ready.wait_until(lock, limit.deadline, [&] { return pending.done || pending.given_up; });
  }
  {
    std::lock_guard lock(mutex_);
    pending_.erase(header.request);
  }
  fault_point("monitor answered");
  if (pending.done && answer_fd != nullptr) *answer_fd = std::move(pending.fd);
  if (pending.done) return std::move(pending.answer);
  if (!sent) return fail(std::move(sent).error());
  return fail(Error::of(pending.given_up ? ErrorKind::cancelled : ErrorKind::deadline_exceeded, "monitor", id_.str(),
                        "no answer"));
}

bool MonitorConnection::receive() {
  for (;;) {
    auto packet = sys::receive_packet(socket_);
    if (!packet) return packet.error().is(EAGAIN);
    if (packet->bytes.empty()) return false;
    PayloadReader reader(packet->bytes);
    MessageHeader header;
    if (!reader.record(&header) || header.magic != kMonitorMagic || header.length > kMaxPayload) return false;
    std::string_view payload;
    std::string from_memfd;
    Fd fd;
    if ((header.flags & kPayloadInMemfd) != 0) {
      if (packet->fds.empty() || ::lseek(packet->fds[0].get(), 0, SEEK_SET) != 0) return false;
      auto read = sys::read_all(packet->fds[0], "monitor message", kMaxPayload);
      if (!read) return false;
      from_memfd = std::move(*read);
      payload = from_memfd;
    } else if (!reader.bytes(header.length, &payload)) {
      return false;
    } else if (!packet->fds.empty()) {
      fd = std::move(packet->fds[0]);
    }
    dispatch(header, payload, std::move(fd));
  }
}

void MonitorConnection::dispatch(const MessageHeader& header, std::string_view payload, Fd fd) {
  if (header.type == MessageType::reply) return finish(header.request, std::string(payload), std::move(fd));
  if (header.type == MessageType::error) {
    // The caller knows the program and names the step: it gets the record as it came.
    Error raw = Error::of(ErrorKind::internal, "", std::string(payload));
    return finish(header.request, fail(std::move(raw)));
  }
  dispatch_event(header.type, payload);
}

void MonitorConnection::finish(std::uint64_t request, Result<std::string> answer, Fd fd) {
  std::lock_guard lock(mutex_);
  auto found = pending_.find(request);
  if (found == pending_.end()) return;  // the caller's deadline has passed
  Pending& pending = *found->second;
  if (answer && pending.session != 0)
    if (auto it = sessions_.find(pending.session); it != sessions_.end()) it->second.started = true;
  pending.answer = std::move(answer);
  pending.fd = std::move(fd);
  pending.done = true;
  pending.ready.notify_one();
}

void MonitorConnection::dispatch_event(MessageType type, std::string_view payload) {
  PayloadReader reader(payload);
  if (type == MessageType::container_exited) {
    ContainerRecord record;
    if (!reader.record(&record)) return;
    auto id = id_of(record.id);
    if (!id) return;
    if (record.log_dropped != 0) events_.log_lost(id_, *id, record.log_dropped);
    events_.container_exited(id_, {.id = *id,
                                   .exit_code = record.exit_code,
                                   .signal = record.signal,
                                   .oom_killed = record.oom_killed != 0,
                                   .finished_at_ns = record.finished_at_ns});
  } else if (type == MessageType::log_lost) {
    ContainerRecord record;
    if (!reader.record(&record)) return;
    if (auto id = id_of(record.id)) events_.log_lost(id_, *id, record.log_dropped);
  } else if (type == MessageType::exec_exited) {
    ExecRecord record;
    if (reader.record(&record)) session_ended(record.id, record.exit_code);
  } else if (type == MessageType::attach_ended) {
    AttachEndRecord record;
    if (!reader.record(&record)) return;
    if (record.lost == 0) return session_ended(record.attach_id, 0);
    session_ended(record.attach_id, fail(Error::of(ErrorKind::resource_exhausted, "attach", id_.str(),
                                                   "the client was slower than the container's output")));
  } else if (type == MessageType::pause_exited) {
    PauseExitRecord record;
    if (reader.record(&record)) events_.pause_exited(id_, record.wait_status);
  }
}

Result<std::uint64_t> MonitorConnection::expect_end(std::function<void(Result<int>)> done) {
  std::lock_guard lock(mutex_);
  if (broken_) return fail(gone_error());
  // Ids outlive the daemon in the monitor's list: time keeps those of two daemons apart.
  auto session = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  while (sessions_.contains(session)) session++;
  sessions_[session].done = std::move(done);
  return session;
}

void MonitorConnection::expect_no_end(std::uint64_t session) {
  std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

void MonitorConnection::session_ended(std::uint64_t session, Result<int> result) {
  std::function<void(Result<int>)> done;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    done = std::move(found->second.done);
    sessions_.erase(found);
  }
  done(std::move(result));
}

void MonitorConnection::broken() {
  std::vector<std::uint64_t> running;
  {
    std::lock_guard lock(mutex_);
    if (broken_) return;
    broken_ = true;
    for (auto& [request, pending] : pending_) {
      if (pending->done) continue;  // its caller has the answer, and a session that started is told below
      pending->answer = fail(gone_error());
      pending->done = true;
      pending->ready.notify_one();
    }
    // One that has not started yet is told by its own call.
    for (const auto& [id, session] : sessions_)
      if (session.started) running.push_back(id);
  }
  for (auto id : running) session_ended(id, fail(gone_error()));
}

void MonitorConnection::process_ended() {
  receive();  // what it said last
  broken();
  bool expected;
  {
    std::lock_guard lock(mutex_);
    expected = shutting_down_;
    ended_ = true;
  }
  end_told_.notify_all();
  if (!expected) events_.monitor_gone(id_);
}

Error error_of(std::string_view payload, const Program* program) {
  PayloadReader reader(payload);
  ErrorRecord record;
  std::string_view operation, subject, detail;
  if (!reader.record(&record) || !reader.text(record.operation, &operation) || !reader.text(record.subject, &subject) ||
      !reader.text(record.detail, &detail) || record.kind > static_cast<std::uint32_t>(ErrorKind::internal))
    return Error::of(ErrorKind::internal, "monitor", "error record", "it does not parse");
  Error error{.kind = static_cast<ErrorKind>(record.kind),
              .op = "monitor",
              .code = record.code,
              .subject = std::string(subject),
              .detail = std::string(detail)};
  if (record.step >= 0 && program != nullptr) {
    error.op = "step";
    error.subject = program->print_step(static_cast<std::size_t>(record.step));
    error.context.push_back("step " + std::to_string(record.step) + " of " + std::to_string(program->steps.size()));
  } else if (!operation.empty()) {
    error.subject = std::string(operation) + (subject.empty() ? "" : " ") + error.subject;
  }
  return error;
}

}  // namespace podshim
