#include "shim/apply/monitor_process_connection.h"

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
                                            std::uint64_t exec_id, Clock::time_point deadline) {
  if (std::this_thread::get_id() == loop_thread_)
    return fail(Error::of(ErrorKind::internal, "monitor", id_.str(), "called from an event"));
  if (payload.size() > kMaxPayload)
    return fail(Error::of(ErrorKind::resource_exhausted, "monitor", "program too large"));
  Pending pending;
  pending.exec_id = exec_id;
  MessageHeader header{.type = type, .length = static_cast<std::uint32_t>(payload.size())};
  {
    std::lock_guard lock(mutex_);
    if (broken_) return fail(gone_error());
    header.request = next_request_++;
    pending_[header.request] = &pending;
  }
  auto sent = send(header, payload, fds, deadline);
  std::unique_lock lock(mutex_);
  if (sent) pending.ready.wait_until(lock, deadline, [&] { return pending.done; });
  pending_.erase(header.request);
  if (pending.done) return std::move(pending.answer);
  if (!sent) return fail(std::move(sent).error());
  return fail(Error::of(ErrorKind::deadline_exceeded, "monitor", id_.str(), "no answer"));
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
    if ((header.flags & kPayloadInMemfd) != 0) {
      if (packet->fds.empty() || ::lseek(packet->fds[0].get(), 0, SEEK_SET) != 0) return false;
      auto read = sys::read_all(packet->fds[0], "monitor message", kMaxPayload);
      if (!read) return false;
      from_memfd = std::move(*read);
      payload = from_memfd;
    } else if (!reader.bytes(header.length, &payload)) {
      return false;
    }
    dispatch(header, payload);
  }
}

void MonitorConnection::dispatch(const MessageHeader& header, std::string_view payload) {
  if (header.type == MessageType::reply) return finish(header.request, std::string(payload));
  if (header.type == MessageType::error) {
    // The caller knows the program and names the step: it gets the record as it came.
    Error raw = Error::of(ErrorKind::internal, "", std::string(payload));
    return finish(header.request, fail(std::move(raw)));
  }
  dispatch_event(header.type, payload);
}

void MonitorConnection::finish(std::uint64_t request, Result<std::string> answer) {
  std::lock_guard lock(mutex_);
  auto found = pending_.find(request);
  if (found == pending_.end()) return;  // the caller's deadline has passed
  Pending& pending = *found->second;
  if (answer && pending.exec_id != 0)
    if (auto exec = execs_.find(pending.exec_id); exec != execs_.end()) exec->second.started = true;
  pending.answer = std::move(answer);
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
    events_.container_exited(id_, {.id = *id,
                                   .exit_code = record.exit_code,
                                   .signal = record.signal,
                                   .oom_killed = record.oom_killed != 0,
                                   .finished_at_ns = record.finished_at_ns});
  } else if (type == MessageType::exec_exited) {
    ExecRecord record;
    if (reader.record(&record)) exec_ended(record.id, record.exit_code);
  } else if (type == MessageType::pause_exited) {
    PauseExitRecord record;
    if (reader.record(&record)) events_.pause_exited(id_, record.wait_status);
  }
}

void MonitorConnection::exec_ended(std::uint64_t exec_id, Result<int> exit_code) {
  std::function<void(Result<int>)> done;
  {
    std::lock_guard lock(mutex_);
    auto found = execs_.find(exec_id);
    if (found == execs_.end()) return;
    done = std::move(found->second.done);
    execs_.erase(found);
  }
  done(std::move(exit_code));
}

void MonitorConnection::broken() {
  std::vector<std::uint64_t> running;
  {
    std::lock_guard lock(mutex_);
    if (broken_) return;
    broken_ = true;
    for (auto& [request, pending] : pending_) {
      pending->answer = fail(gone_error());
      pending->done = true;
      pending->ready.notify_one();
    }
    // One that has not started yet is told by its own call.
    for (const auto& [exec_id, waiter] : execs_)
      if (waiter.started) running.push_back(exec_id);
  }
  for (auto exec_id : running) exec_ended(exec_id, fail(gone_error()));
}

void MonitorConnection::process_ended() {
  receive();  // what it said last
  broken();
  bool expected;
  {
    std::lock_guard lock(mutex_);
    expected = shutting_down_;
  }
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
