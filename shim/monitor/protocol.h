// The conversation between the daemon and one Pod's monitor.
//
//   daemon                                   monitor
//     | hello{features} ------------------------> |   first message of every connection
//     | <----------- reply{features, pid, start} |   then everything else; a newer connection ends the older one
//     | start_pause / start_container / exec ---> |   clones, runs the program in the child
//     | <-- reply{pid}  when exec happened        |   (other requests are answered meanwhile)
//     | <-- error{errno, step}  when a step failed|
//     | <-- container_exited / exec_exited /      |   events: request id 0; kept while no daemon is connected
//     |     pause_exited                          |
//     | attach{pipes} -------------------------> |   output goes into the pipes, too, until attach_ended
//     | state ----------------------------------> |   everything that is, and what happened meanwhile
//     | shutdown -------------------------------> |   kills pause, replies, ends
//
// One SOCK_SEQPACKET message = MessageHeader + payload. A payload above kInlinePayload travels in a sealed memfd, the
// first of the message's fds. A payload = one flat record of the host's byte order, then the texts whose lengths the
// record gives, each followed by a NUL that is not counted. Later versions append fields and types; a reader takes what
// it knows and ignores the rest. Nothing in a message is believed before it was checked against the length received.
// Used by shim/monitor and shim/apply/monitor_process*; no dependency but step.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "shim/monitor/step.h"

namespace podshim {

inline constexpr std::uint32_t kMonitorMagic = 0x4d4d4850;  // "PHMM"
inline constexpr std::uint16_t kMonitorVersion = 1;
inline constexpr std::uint32_t kInlinePayload = 32 * 1024;
inline constexpr std::uint32_t kMaxPayload = kMaxProgram + 64 * 1024;
inline constexpr const char* kMonitorSocketName = "monitor.sock";
// Inherited by the monitor from spawn_detached.
inline constexpr int kMonitorListenFd = 3, kMonitorConnectionFd = 4, kMonitorDirFd = 5;

enum class MessageType : std::uint16_t {
  // Requests; fds in this order, after the payload's memfd
  hello = 1,         // HelloRecord -> HelloRecord
  start_pause,       // StartRecord, program; fds: [cgroup] -> StartedRecord
  set_shm,           // nothing; fds: shm -> nothing
  create_container,  // IdRecord; fds: root, volume... -> nothing
  start_container,   // StartRecord, texts, program; fds: [cgroup] -> StartedRecord
  signal_container,  // IdRecord, number = signal -> nothing
  remove_container,  // IdRecord -> nothing
  reopen_log,        // IdRecord -> nothing
  start_exec,        // StartRecord, program; fds: [cgroup] [in] [out] [err] -> StartedRecord
  kill_exec,         // IdRecord, number = exec id -> nothing
  state,             // nothing -> StateRecord, ContainerRecord[], ExecRecord[]
  shutdown,          // nothing -> nothing, then the end
  attach,            // AttachRecord; fds: [out] [err] -> AttachedRecord; fds: [in]
  close_stdin,       // IdRecord -> nothing
  // Answers, with the request's id
  reply = 64,
  error,  // ErrorRecord, subject, detail
  // Events, request id 0
  container_exited = 96,  // ContainerRecord
  pause_exited,           // PauseExitRecord
  exec_exited,            // ExecRecord
  attach_ended,           // AttachEndRecord; only to the daemon that asked for it
  log_lost = 112,         // ContainerRecord: log_dropped has grown
};

enum MessageFlag : std::uint32_t {
  kPayloadInMemfd = 1,
};

struct MessageHeader {
  std::uint32_t magic = kMonitorMagic;
  std::uint16_t version = kMonitorVersion;
  MessageType type{};
  std::uint32_t length = 0;  // of the payload, wherever it is
  std::uint32_t flags = 0;
  std::uint64_t request = 0;
};

struct WireProcess {
  std::int32_t pid = 0;
  std::uint32_t unused = 0;
  std::uint64_t start_ticks = 0;
};

struct WireId {
  char hex[64] = {};
  std::string_view view() const { return {hex, sizeof hex}; }
};

struct HelloRecord {
  std::uint64_t features = 0;  // none yet
  WireProcess process;         // the monitor's, in its answer
};

struct IdRecord {
  WireId id;
  std::uint64_t number = 0;
};

enum StartFlag : std::uint32_t {
  kStartTty = 1,
  kStartStdinOpen = 2,
  kStartStdinOnce = 4,
  kStartHasCgroup = 8,
  kStartHasIn = 16,
  kStartHasOut = 32,
  kStartHasErr = 64,
  kStartJoinSandboxPid = 128,
  kStartJoinPidOf = 256,
};

struct StartRecord {
  WireId id;       // container; zero for pause
  WireId join_id;  // with kStartJoinPidOf
  std::uint64_t exec_id = 0;
  std::uint64_t namespaces = 0;  // CLONE_NEW* of the clone
  std::int64_t log_max_bytes = 0;
  std::int32_t log_max_files = 0;
  std::uint32_t flags = 0;
  std::uint32_t log_path = 0, oom_file = 0, exit_path = 0;  // lengths of texts
  std::uint32_t program = 0;                                // length; last in the payload, no NUL behind it
};

// Steps with kMayFail that failed, so that somebody can say it once.
struct StepNote {
  std::uint32_t step = 0;
  std::int32_t err = 0;
};
inline constexpr std::uint32_t kMaxStepNotes = 8;

struct StartedRecord {
  WireProcess process;
  std::uint32_t note_count = 0, unused = 0;
  StepNote notes[kMaxStepNotes];
};

struct ErrorRecord {
  std::uint32_t kind = 0;  // ErrorKind
  std::int32_t code = 0;
  std::int32_t step = -1;                                // of the program sent, -1 = not in the child
  std::uint32_t operation = 0, subject = 0, detail = 0;  // lengths of texts
};

struct StateRecord {
  WireProcess monitor, pause;
  std::uint32_t pause_running = 0;
  std::uint32_t container_count = 0, exec_count = 0, unused = 0;
};

enum class WireContainerState : std::uint32_t { created, running, exited };

struct ContainerRecord {
  WireId id;
  WireProcess process;
  WireContainerState state{};
  std::int32_t exit_code = 0, signal = 0;
  std::uint32_t oom_killed = 0;
  std::int64_t finished_at_ns = 0;
  std::uint64_t log_dropped = 0;  // bytes of the container that are not in its log
};

struct ExecRecord {
  std::uint64_t id = 0;
  WireId container;
  WireProcess process;
  std::uint32_t exited = 0;
  std::int32_t exit_code = 0;
};

enum AttachFlag : std::uint32_t {
  kAttachOut = 1,
  kAttachErr = 2,
  kAttachIn = 4,     // stdin's write end, or the terminal's master, comes with the answer when there is one
  kAttachQuiet = 8,  // nothing is written into `out`; it ends with stdout
};

struct AttachRecord {
  WireId id;
  std::uint64_t attach_id = 0;
  std::uint32_t flags = 0, unused = 0;
};

struct AttachedRecord {
  std::uint64_t unused = 0;
};

struct AttachEndRecord {
  std::uint64_t attach_id = 0;
  std::uint32_t lost = 0, unused = 0;  // the pipe was full
};

struct PauseExitRecord {
  std::int32_t wait_status = 0;
};

// Takes a payload apart; every method is false when the bytes are not there.
class PayloadReader {
 public:
  explicit PayloadReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  bool record(T* out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(out, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return true;
  }
  bool text(std::uint32_t length, std::string_view* out) {
    if (rest_.size() <= length || rest_[length] != '\0') return false;
    *out = rest_.substr(0, length);
    rest_.remove_prefix(std::size_t{length} + 1);
    return out->find('\0') == std::string_view::npos;
  }
  bool bytes(std::uint32_t length, std::string_view* out) {
    if (rest_.size() < length) return false;
    *out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

 private:
  std::string_view rest_;
};

class PayloadWriter {
 public:
  template <typename T>
  PayloadWriter& record(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  PayloadWriter& text(std::string_view value) {
    bytes_.append(value).push_back('\0');
    return *this;
  }
  PayloadWriter& bytes(std::string_view value) {
    bytes_.append(value);
    return *this;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace podshim
