#include "shim/cri/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <thread>

#include "common/log.h"
#include "shim/cri/pool.h"
#include "shim/cri/status_code.h"

namespace podshim::cri {
namespace {

constexpr int kReceiveLimit = 16 << 20;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kSlowCall{10};
constexpr milliseconds kWaitPatience{1000};
constexpr std::size_t kMaxStatusText = 4096;  // travels as a header; clients refuse more than 8 KiB

struct Lanes {
  // The widths are what may hang at once without delaying the rest of the lane. A thread costs some 20 kB while it
  // waits.
  Pool sandbox{{.name = "cri-sandbox", .max_threads = 128}};
  Pool container{{.name = "cri-container", .max_threads = 64}};
  Pool wait{{.name = "cri-wait", .max_threads = 1024}};
  Pool stats{{.name = "cri-stats", .max_threads = 2}};

  Pool* of(Lane lane) {
    switch (lane) {
      case Lane::inline_:
        return nullptr;
      case Lane::sandbox:
        return &sandbox;
      case Lane::container:
        return &container;
      case Lane::wait:
        return &wait;
      case Lane::stats:
        return &stats;
    }
    return nullptr;
  }
  // What waits as long as its client asked gets a moment only: the next start picks it up.
  bool drain(milliseconds patience) {
    const auto now = std::chrono::steady_clock::now();
    bool empty = drain_until(wait, now + std::min(patience, kWaitPatience));
    for (Pool* pool : {&sandbox, &container, &stats}) empty = drain_until(*pool, now + patience) && empty;
    return empty;
  }

 private:
  static bool drain_until(Pool& pool, std::chrono::steady_clock::time_point end) {
    const auto left = end - std::chrono::steady_clock::now();
    return pool.drain(std::max(std::chrono::duration_cast<milliseconds>(left), milliseconds(0)));
  }
};

std::string_view short_name(std::string_view method) { return method.substr(method.rfind('/') + 1); }

// gRPC's and protobuf's own messages become lines of our log.
void take_over_logs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    const auto level = args->severity == GPR_LOG_SEVERITY_ERROR ? log::Level::warn : log::Level::debug;
    log::write(level, "grpc", {{"file", args->file}, {"line", args->line}, {"text", args->message}});
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel level, const char* file, int line, const std::string& text) {
        log::write(level >= google::protobuf::LOGLEVEL_WARNING ? log::Level::warn : log::Level::debug, "protobuf",
                   {{"file", file}, {"line", line}, {"text", text}});
      });
}

grpc::Status to_status(const Error& error) {
  std::string text = error.text();
  if (text.size() > kMaxStatusText) text.resize(kMaxStatusText);
  return {static_cast<grpc::StatusCode>(status_code(error)), text};
}

// The bytes of one answer as a slice that owns them: no copy.
grpc::ByteBuffer to_buffer(std::string bytes) {
  auto* owned = new std::string(std::move(bytes));
  grpc::Slice slice(owned->data(), owned->size(), [](void* p) { delete static_cast<std::string*>(p); }, owned);
  return {&slice, 1};
}

void log_end(const Method& method, const std::string& subject, const Result<std::string>& result,
             std::chrono::steady_clock::duration took) {
  const auto name = short_name(method.name);
  const long us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  if (result) {
    log::debug("done", {{"rpc", name}, {"id", subject}, {"us", us}});  // the lifecycle told what changed
    return;
  }
  // Not found is an everyday answer of status calls: a client asks about what has just gone.
  const auto code = status_code(result.error());
  const bool everyday = !method.changes && code == Code::not_found;
  log::write(everyday ? log::Level::debug : log::Level::warn, "failed",
             {{"rpc", name}, {"id", subject}, {"us", us}, {"code", code_name(code)}, {"error", result.error().text()}});
}

class Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(Border& border, Lanes& lanes, const std::string& name) : border_(border), lanes_(lanes) {
    method_ = find_method(name);
    if (method_ == nullptr) {
      log::debug("not served", {{"rpc", name}});
      Finish({grpc::StatusCode::UNIMPLEMENTED, "podshim does not serve " + name});
      return;
    }
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish({grpc::StatusCode::INVALID_ARGUMENT, "the call ended before its request"});
      return;
    }
    token_ = border_.activity.begin(method_->name);
    Pool* pool = lanes_.of(method_->lane);
    if (pool == nullptr) {
      run();
    } else if (!pool->submit([this] { run(); })) {
      border_.activity.end(token_);
      Finish({grpc::StatusCode::UNAVAILABLE, "too many calls are under way, or podshim is stopping"});
    }
  }

  void OnDone() override { delete this; }

 private:
  void run() {
    const auto since = std::chrono::steady_clock::now();
    std::string subject;
    grpc::Slice bytes;
    auto result = request_.DumpToSingleSlice(&bytes).ok()
                      ? guarded({reinterpret_cast<const char*>(bytes.begin()), bytes.size()}, &subject)
                      : fail(Error::of(ErrorKind::internal, "read request", std::string(method_->name)));
    request_.Clear();
    border_.activity.end(token_);
    log_end(*method_, subject, result, std::chrono::steady_clock::now() - since);
    if (!result) {
      Finish(to_status(result.error()));
      return;
    }
    response_ = to_buffer(*std::move(result));
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }

  // Libraries below may throw (memory, JSON); a call must end all the same.
  Result<std::string> guarded(std::string_view request, std::string* subject) {
    try {
      return method_->call(border_, request, subject);
    } catch (const std::exception& e) {
      return fail(Error::of(ErrorKind::internal, "exception", std::string(method_->name), e.what()));
    }
  }

  Border& border_;
  Lanes& lanes_;
  const Method* method_ = nullptr;
  std::uint64_t token_ = 0;
  grpc::ByteBuffer request_, response_;
};

class Service final : public grpc::CallbackGenericService {
 public:
  Service(Border& border, Lanes& lanes) : border_(border), lanes_(lanes) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Call(border_, lanes_, context->method());
  }

 private:
  Border& border_;
  Lanes& lanes_;
};

class GrpcServer final : public Server {
 public:
  GrpcServer(Border& border, Listener& listener) : border_(border), listener_(listener), service_(border, lanes_) {}
  ~GrpcServer() override {
    if (!stopped_) stop(milliseconds(0));
  }

  Result<> start() {
    take_over_logs();
    grpc::ServerBuilder builder;
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(kReceiveLimit);
    builder.SetMaxSendMessageSize(-1);
    // Go clients ping as they like, and would be cut off as "too_many_pings".
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    grpc_ = builder.BuildAndStart();
    if (!grpc_) return fail(Error::of(ErrorKind::internal, "start gRPC", listener_.path()));
    wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!wake_) return fail(Error::sys("eventfd", listener_.path()));
    thread_ = std::thread([this] { accept_loop(); });
    return {};
  }

  bool stop(milliseconds patience) override {
    stopped_ = true;
    if (thread_.joinable()) {
      const std::uint64_t one = 1;
      [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
      thread_.join();
    }
    const bool empty = lanes_.drain(patience);
    if (grpc_ && empty) grpc_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    return empty;
  }

 private:
  void accept_loop() {
    pthread_setname_np(pthread_self(), "cri-accept");
    for (;;) {
      pollfd waits[] = {{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                        {.fd = listener_.fd(), .events = POLLIN, .revents = 0}};
      ::poll(waits, 2, static_cast<int>(std::chrono::milliseconds(kSlowCall).count()));
      if (waits[0].revents != 0) return;
      if (waits[1].revents != 0) {
        take_connections();
      } else {
        log_slow_calls();
      }
    }
  }

  void take_connections() {
    for (;;) {
      auto fd = listener_.accept();
      if (!fd) {
        if (fd.error().is(EINTR) || fd.error().is(ECONNABORTED)) continue;
        if (fd.error().is(EAGAIN)) return;
        log::warn("connection refused", {{"error", fd.error().text()}});
        if (fd.error().is(EPERM)) continue;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // EMFILE and the like: not in a hot loop
        return;
      }
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
      parameters.fd = fd->release();
      acceptor_->HandleNewConnection(&parameters);
    }
  }

  void log_slow_calls() {
    for (const auto& call : border_.activity.running()) {
      if (call.age < kSlowCall) continue;
      const auto* method = find_method(call.name);
      const bool asked_to_wait = method != nullptr && method->lane == Lane::wait;
      log::write(asked_to_wait ? log::Level::debug : log::Level::warn, "still running",
                 {{"rpc", short_name(call.name)}, {"ms", static_cast<long>(call.age.count())}});
    }
  }

  Border& border_;
  Listener& listener_;
  Lanes lanes_;
  Service service_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
  Fd wake_;
  std::thread thread_;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Border& border, Listener& listener) {
  auto server = std::make_unique<GrpcServer>(border, listener);
  TRY(server->start());
  return server;
}

}  // namespace podshim::cri
