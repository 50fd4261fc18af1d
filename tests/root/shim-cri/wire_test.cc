// HTTP/2 under gRPC: what clients of other makers send, and what no client should. The other side is gRPC's own client
// and curl.
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "runtime.grpc.pb.h"
#include "tests/root/shim-cri/server_fixture.h"

namespace podshim::test {
namespace {

namespace v1 = ::runtime::v1;
using namespace std::chrono_literals;
using namespace std::string_literals;

int descriptors() {
  int n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) n++;
  return n;
}

// HTTP/2 by hand, for what gRPC's clients do not do.
class Raw {
 public:
  static constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoAway = 7;
  static constexpr std::uint8_t kEndStream = 1, kEndHeaders = 4;
  struct Frame {
    std::uint8_t type = 0, flags = 0;
    int stream = 0;
    std::string payload;
    bool ends_call() const { return (type == kData || type == kHeaders) && (flags & kEndStream) != 0; }
  };

  explicit Raw(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  }

  static std::string frame(std::uint8_t type, std::uint8_t flags, int stream, const std::string& payload) {
    std::string out;
    for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
    return out + payload;
  }
  // Preface and settings: the window of each stream; the connection's is opened wide.
  static std::string opening(std::uint32_t window) {
    const auto number = [](std::uint32_t n) {
      std::string out;
      for (int shift : {24, 16, 8, 0}) out += static_cast<char>(n >> shift);
      return out;
    };
    return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "\0\4"s + number(window)) +
           frame(8, 0, 0, number(0x7fffffff - 65535));
  }
  // HPACK: strings of less than 127 bytes, as they are.
  static std::string literal(const std::string& s) { return static_cast<char>(s.size()) + s; }
  static std::string path(const std::string& method) {
    return "\x04" + literal("/runtime.v1.RuntimeService/" + method);
  }
  static std::string timeout_header(const std::string& timeout) {
    return "\0"s + literal("grpc-timeout") + literal(timeout);
  }
  static std::string headers(const std::string& method) {
    return "\x83\x86" + path(method) + ("\x0f\x10" + literal("application/grpc"));
  }
  static std::string data(int stream, std::uint8_t flags, const std::string& message = "") {
    return frame(kData, flags, stream, "\0\0\0\0"s + literal(message));
  }
  // A request to a method of the RuntimeService.
  static std::string call(int stream, const std::string& method, const std::string& timeout = "",
                          const std::string& message = "") {
    const std::string more = timeout.empty() ? "" : timeout_header(timeout);
    return frame(kHeaders, kEndHeaders, stream, headers(method) + more) + data(stream, kEndStream, message);
  }
  static std::string reset(int stream) { return frame(kReset, 0, stream, "\0\0\0\x08"s); }  // CANCEL

  // What the server does not take any more is not sent.
  void send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto n = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
  }
  std::optional<Frame> read_frame() const {
    unsigned char head[9];
    if (!read(head, sizeof head)) return std::nullopt;
    Frame out{.type = head[3],
              .flags = head[4],
              .stream = (head[5] & 0x7f) << 24 | head[6] << 16 | head[7] << 8 | head[8],
              .payload = std::string(head[0] << 16 | head[1] << 8 | head[2], 0)};
    if (!read(out.payload.data(), out.payload.size())) return std::nullopt;
    return out;
  }
  // To the end of the connection's only call: the bytes of its message. nullopt: there was no end.
  std::optional<std::size_t> read_answer() const {
    std::size_t message = 0;
    while (const auto frame = read_frame()) {
      if (frame->type == kData) message += frame->payload.size();
      if (frame->ends_call()) return message;
    }
    return std::nullopt;
  }

 private:
  bool read(void* to, std::size_t size) const {
    return size == 0 || ::recv(fd_.get(), to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }
  Fd fd_;
};

class Wire : public ServerTest {
 protected:
  std::unique_ptr<v1::RuntimeService::Stub> client(grpc::ChannelArguments arguments = {}) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return v1::RuntimeService::NewStub(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
  }
  grpc::Status version(v1::RuntimeService::Stub& stub) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    v1::VersionResponse response;
    return stub.Version(&context, v1::VersionRequest(), &response);
  }
  grpc::Status run_pod(v1::RuntimeService::Stub& stub, const std::string& name, std::size_t bytes,
                       grpc_compression_algorithm compression, std::string* id = nullptr) {
    v1::RunPodSandboxRequest request;
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_metadata()->set_uid("u");
    request.mutable_config()->mutable_metadata()->set_namespace_("d");
    (*request.mutable_config()->mutable_annotations())["text"] = std::string(bytes, 'a');
    grpc::ClientContext context;
    context.set_compression_algorithm(compression);
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    v1::RunPodSandboxResponse response;
    auto status = stub.RunPodSandbox(&context, request, &response);
    if (id != nullptr) *id = response.pod_sandbox_id();
    return status;
  }
  std::string hanging_container(v1::RuntimeService::Stub& stub) {
    std::string pod;
    EXPECT_TRUE(run_pod(stub, "web", 1, GRPC_COMPRESS_NONE, &pod).ok());
    const auto id = runtime.create_container(pod, {.metadata = {.name = "c"}, .image = "example.com/app:1"});
    EXPECT_TRUE(id && runtime.start_container(id->str()));
    runtime.hang_stops();
    return id->str();
  }
  // curl's output with the response's headers and trailers.
  std::string curl(const std::string& method, const std::string& arguments, const std::string& body) {
    std::ofstream(dir + "/body") << body;
    const std::string command = "curl -s -S -i -m 10 --unix-socket " + socket + " --data-binary @" + dir + "/body " +
                                arguments + " http://localhost/runtime.v1.RuntimeService/" + method + " 2>&1";
    std::string out;
    FILE* pipe = ::popen(command.c_str(), "re");
    char bytes[4096];
    for (std::size_t n; pipe != nullptr && (n = std::fread(bytes, 1, sizeof bytes, pipe)) > 0;) out.append(bytes, n);
    if (pipe != nullptr) ::pclose(pipe);
    return out;
  }
  static constexpr char kGrpc[] = "--http2-prior-knowledge -H 'content-type: application/grpc' -H 'te: trailers' ";
};

// Go's clients of before 2023 name the server by the path of its socket.
TEST_F(Wire, TheAuthorityMayBeAPath) {
  for (const char* authority : {"/run/podshim/podshim.sock", "%2Frun%2Fpodshim.sock", "localhost"}) {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
    const auto status = version(*client(arguments));
    EXPECT_TRUE(status.ok()) << authority << ": " << status.error_message();
    EXPECT_NE(curl("Version", kGrpc + "-H 'Host: "s + authority + "' ", "\0\0\0\0\0"s).find("grpc-status: 0"),
              std::string::npos)
        << authority;
  }
}

TEST_F(Wire, LargeRequestsAreTakenToSixteenMebibytes) {
  auto stub = client();
  EXPECT_TRUE(run_pod(*stub, "large", 15 << 20, GRPC_COMPRESS_NONE).ok());
  const auto refused = run_pod(*stub, "larger", 17 << 20, GRPC_COMPRESS_NONE);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
  EXPECT_TRUE(version(*stub).ok());  // the same connection
}

TEST_F(Wire, CompressedRequestsAreRefusedByName) {
  auto stub = client();
  const auto status = run_pod(*stub, "small", 100'000, GRPC_COMPRESS_GZIP);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  EXPECT_NE(status.error_message().find("compressed"), std::string::npos) << status.error_message();
}

TEST_F(Wire, WhatIsNoGrpcIsToldSo) {
  EXPECT_NE(curl("Version", "--http2-prior-knowledge", "{}").find("HTTP/2 415"), std::string::npos);
  const auto cut = curl("Version", kGrpc, "\0\0\0\0\7abc"s);
  EXPECT_NE(cut.find("grpc-status: 13"), std::string::npos) << cut;
  const auto empty = curl("Version", kGrpc, "");
  EXPECT_NE(empty.find("grpc-status: 13"), std::string::npos) << empty;
  const auto unknown = curl("None", kGrpc, "\0\0\0\0\0"s);
  EXPECT_NE(unknown.find("grpc-status: 12"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("/runtime.v1.RuntimeService/None"), std::string::npos) << unknown;
  const auto timeout = curl("Version", kGrpc + "-H 'grpc-timeout: 5x' "s, "\0\0\0\0\0"s);
  EXPECT_NE(timeout.find("HTTP/2 400"), std::string::npos) << timeout;
  EXPECT_NE(timeout.find("grpc-status: 13"), std::string::npos) << timeout;
  const auto late = curl("Version", kGrpc + "-H 'grpc-timeout: 0n' "s, "\0\0\0\0\0"s);
  EXPECT_NE(late.find("grpc-status: 4"), std::string::npos) << late;
  const auto since = std::chrono::steady_clock::now();
  const auto http1 = curl("Version", "--http1.1", "{}");
  EXPECT_TRUE(http1.starts_with("curl: (")) << http1;  // an error of curl's own: the server has hung up
  EXPECT_LT(std::chrono::steady_clock::now() - since, 5s);
  // A name that does not fit into an answer.
  const auto long_name = curl(std::string(30'000, 'x'), kGrpc, "\0\0\0\0\0"s);
  EXPECT_NE(long_name.find("grpc-status: 12"), std::string::npos) << long_name.substr(0, 500);
  auto stub = client();
  EXPECT_TRUE(version(*stub).ok());
}

// A deadline is the server's too: curl does not end the call itself.
TEST_F(Wire, TheDeadlineOfACallEndsIt) {
  auto stub = client();
  v1::StopContainerRequest request;
  request.set_container_id(hanging_container(*stub));
  request.set_timeout(600);
  const std::string message = request.SerializeAsString();
  std::string body = "\0\0\0\0"s + static_cast<char>(message.size()) + message;
  for (auto timeout = 300ms; runtime.hanging_stops() == 0 && timeout < 10s; timeout *= 4) {  // until one came so far
    const auto since = std::chrono::steady_clock::now();
    const auto answer =
        curl("StopContainer", kGrpc + "-H 'grpc-timeout: "s + std::to_string(timeout.count()) + "m' ", body);
    EXPECT_NE(answer.find("grpc-status: 4"), std::string::npos) << answer;
    EXPECT_GE(std::chrono::steady_clock::now() - since, timeout);
  }
  EXPECT_EQ(runtime.hanging_stops(), 1);  // it goes on all the same
  const auto events = curl("GetContainerEvents", kGrpc + "-H 'grpc-timeout: 200m' "s, "\0\0\0\0\0"s);
  EXPECT_NE(events.find("grpc-status: 4"), std::string::npos) << events;
  runtime.release_stops();
  for (int i = 0; i < 1000 && activity.any(); i++) std::this_thread::sleep_for(5ms);
  EXPECT_FALSE(activity.any());
}

// Headers behind the body: neither another method nor a deadline.
TEST_F(Wire, TrailersOfARequestChangeNothing) {
  for (const auto& trailers : {Raw::path("None"), Raw::timeout_header("0n"), Raw::timeout_header("bad")}) {
    Raw raw(socket);
    raw.send(Raw::opening(1 << 20) + Raw::frame(Raw::kHeaders, Raw::kEndHeaders, 1, Raw::headers("RuntimeConfig")) +
             Raw::data(1, 0) + Raw::frame(Raw::kHeaders, Raw::kEndHeaders | Raw::kEndStream, 1, trailers));
    const auto message = raw.read_answer();
    ASSERT_TRUE(message);
    EXPECT_GT(*message, 0U);
  }
}

// More headers than the server says it takes: the call is refused, and the connection goes on.
TEST_F(Wire, TooManyHeadersEndTheirCallAlone) {
  Raw raw(socket);
  const std::string many(2000, '\x90');  // accept-encoding: gzip, deflate; 60 bytes each, as HTTP/2 counts
  raw.send(Raw::opening(1 << 20) + Raw::call(1, "GetContainerEvents") +
           Raw::frame(Raw::kHeaders, Raw::kEndHeaders, 3, Raw::headers("RuntimeConfig") + many) +
           Raw::data(3, Raw::kEndStream) + Raw::call(5, "RuntimeConfig"));
  std::size_t refused = 0, served = 0;
  for (bool ended = false; !ended;) {
    const auto frame = raw.read_frame();
    ASSERT_TRUE(frame);
    EXPECT_FALSE(frame->ends_call() && frame->stream == 1);
    if (frame->type == Raw::kData) (frame->stream == 3 ? refused : served) += frame->payload.size();
    ended = frame->ends_call() && frame->stream == 5;
  }
  EXPECT_EQ(refused, 0U);
  EXPECT_GT(served, 0U);
}

// Go's clients keep to it: what would break the connection is not sent.
TEST_F(Wire, ClientsAreToldHowManyHeadersTheyMaySend) {
  Raw raw(socket);
  raw.send(Raw::opening(1 << 20));
  std::optional<Raw::Frame> frame;
  do {
    frame = raw.read_frame();
    ASSERT_TRUE(frame);
  } while (frame->type != Raw::kSettings || frame->payload.empty());
  EXPECT_EQ(frame->payload.size() % 6, 0U);
  int told = 0;
  for (std::size_t at = 0; at + 6 <= frame->payload.size(); at += 6)
    if (frame->payload.substr(at, 2) == "\0\6"s) {  // MAX_HEADER_LIST_SIZE
      EXPECT_EQ(frame->payload.substr(at + 2, 4), "\0\1\0\0"s);
      told++;
    }
  EXPECT_EQ(told, 1);
}

// More at once than libnghttp2 lets pass by itself.
TEST_F(Wire, AClientThatCancelsManyCallsKeepsItsConnection) {
  Raw raw(socket);
  raw.send(Raw::opening(1 << 20) + Raw::call(1, "GetContainerEvents"));
  constexpr int kCancelled = 5000;
  for (int i = 1; i <= kCancelled; i++) raw.send(Raw::call(1 + 2 * i, "GetContainerEvents") + Raw::reset(1 + 2 * i));
  const int last = 3 + 2 * kCancelled;
  raw.send(Raw::call(last, "RuntimeConfig"));
  const auto read_until_data = [&](int stream) {
    for (;;) {
      const auto frame = raw.read_frame();
      ASSERT_TRUE(frame);
      ASSERT_NE(frame->type, Raw::kGoAway);
      if (frame->type == Raw::kData && frame->stream == stream) return;
    }
  };
  read_until_data(last);
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_TRUE(runtime.run_sandbox({.metadata = {.name = "web", .uid = "u", .name_space = "d"}}).has_value());
  read_until_data(1);  // its other calls go on
}

// ExecSync without a timeout has no other end.
TEST_F(Wire, AnExecSyncEndsWithItsClient) {
  const auto pod = runtime.run_sandbox({.metadata = {.name = "web", .uid = "u", .name_space = "d"}})->str();
  const auto id = runtime.create_container(pod, {.metadata = {.name = "c"}, .image = "example.com/app:1"})->str();
  ASSERT_TRUE(runtime.start_container(id).has_value());
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("hang");
  const std::string message = request.SerializeAsString();
  const auto become = [&](int execs) {
    for (int i = 0; i < 4000; i++, std::this_thread::sleep_for(5ms))
      if (runtime.hanging_execs() == execs) return true;
    return false;
  };
  std::optional<Raw> raw(socket);
  raw->send(Raw::opening(1 << 20) + Raw::call(1, "ExecSync", "", message) + Raw::call(3, "ExecSync", "", message) +
            Raw::call(5, "ExecSync", "5S", message));
  EXPECT_TRUE(become(3));
  EXPECT_TRUE(become(2)) << "its deadline did not end it";
  raw->send(Raw::reset(1));
  EXPECT_TRUE(become(1)) << "RST_STREAM did not end it";
  EXPECT_TRUE(activity.any());
  raw.reset();
  EXPECT_TRUE(become(0)) << "the end of the connection did not end it";
  for (int i = 0; i < 4000 && activity.any(); i++) std::this_thread::sleep_for(5ms);
  EXPECT_FALSE(activity.any());
}

TEST_F(Wire, AThousandCallsAtATimeOnOneConnection) {
  auto stub = client();
  const auto id = hanging_container(*stub);
  constexpr int kCalls = 1000;
  struct Async {
    grpc::ClientContext context;
    v1::StopContainerRequest request;
    v1::StopContainerResponse response;
    grpc::Status status;
  };
  std::vector<Async> calls(kCalls);
  std::atomic<int> done = 0;
  for (auto& call : calls) {
    call.context.set_deadline(std::chrono::system_clock::now() + 120s);
    call.request.set_container_id(id);
    call.request.set_timeout(600);
    stub->async()->StopContainer(&call.context, &call.request, &call.response, [&](grpc::Status status) {
      call.status = std::move(status);
      done++;
    });
  }
  for (int i = 0; i < 6000 && activity.running().size() < kCalls; i++) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(activity.running().size(), static_cast<std::size_t>(kCalls));
  EXPECT_TRUE(version(*stub).ok());
  runtime.release_stops();
  for (int i = 0; i < 6000 && done < kCalls; i++) std::this_thread::sleep_for(5ms);
  ASSERT_EQ(done, kCalls);
  for (const auto& call : calls) EXPECT_TRUE(call.status.ok()) << call.status.error_message();
}

// Connections that break off at any byte of a real call, also while it runs in its lane: nothing stays open.
TEST_F(Wire, ConnectionsThatBreakOffLeaveNothing) {
  const std::string all = Raw::opening(1 << 20) + Raw::call(1, "Status") + Raw::call(3, "ListContainers");
  auto stub = client();
  EXPECT_TRUE(version(*stub).ok());
  const int before = descriptors();
  for (std::size_t cut = 0; cut <= all.size(); cut++) {
    const Raw raw(socket);
    ASSERT_TRUE(raw.read_frame());  // it is served
    raw.send(all.substr(0, cut));
  }
  // Some still wait to be accepted: as many as before, and for a while.
  int quiet = 0;
  for (int i = 0; i < 4000 && quiet < 20; i++, std::this_thread::sleep_for(5ms))
    quiet = descriptors() > before || activity.any() ? 0 : quiet + 1;
  EXPECT_EQ(quiet, 20) << descriptors() << " descriptors, " << before << " before";
  EXPECT_GE(activity.served(), Raw::call(3, "ListContainers").size());  // each cut behind the first call ran it
  EXPECT_TRUE(version(*stub).ok());
}

// A client that asks and asks and does not read: its socket is full, the others are served; then it reads all.
TEST_F(Wire, AClientThatDoesNotReadDelaysNobodyAndGetsAll) {
  auto stub = client();
  constexpr std::size_t kBig = 4 << 20;
  constexpr int kAsked = 8;
  EXPECT_TRUE(run_pod(*stub, "big", kBig, GRPC_COMPRESS_NONE).ok());
  Raw sleeper(socket);
  std::string all = Raw::opening(0x7fffffff);
  for (int i = 0; i < kAsked; i++) all += Raw::call(1 + 2 * i, "ListPodSandbox");
  sleeper.send(all);
  for (int i = 0; i < 50; i++) {
    const auto since = std::chrono::steady_clock::now();
    EXPECT_TRUE(version(*stub).ok());
    EXPECT_LT(std::chrono::steady_clock::now() - since, 8s);
  }
  std::size_t data = 0, ended = 0;
  while (ended < kAsked) {
    const auto frame = sleeper.read_frame();
    ASSERT_TRUE(frame) << "after " << data << " bytes and " << ended << " ends";
    if (frame->type == Raw::kData) data += frame->payload.size();
    ended += frame->ends_call() ? 1 : 0;
  }
  EXPECT_GT(data, kAsked * kBig);
}

// A window that is closed behind the message: the status needs none.
TEST_F(Wire, TheStatusWaitsForNoWindow) {
  Raw raw(socket);
  raw.send(Raw::opening(64) + Raw::call(1, "RuntimeConfig"));
  const auto message = raw.read_answer();
  ASSERT_TRUE(message);
  ASSERT_GT(*message, 0u);
  Raw exact(socket);
  exact.send(Raw::opening(static_cast<std::uint32_t>(*message)) + Raw::call(1, "RuntimeConfig"));
  ASSERT_TRUE(exact.read_answer()) << "no status behind a message of the window's size";
}

// Behind a window that never opens there is no status: at its deadline the stream is reset, and nothing of it stays.
TEST_F(Wire, ADeadlineEndsAStreamWhoseClientTakesNothing) {
  auto stub = client();
  EXPECT_TRUE(run_pod(*stub, "big", 1 << 20, GRPC_COMPRESS_NONE).ok());
  struct Case {
    const char* what;
    std::uint32_t window;
    const char* method;
    std::uint8_t end;  // the frame that ends it
  } cases[] = {{"a stream that waits, closed", 0, "GetContainerEvents", Raw::kReset},
               {"a stream that waits, open", 1 << 20, "GetContainerEvents", Raw::kHeaders},
               {"an answer, closed", 0, "ListPodSandbox", Raw::kReset},
               {"an answer, closed within it", 1000, "ListPodSandbox", Raw::kReset}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    bool ended = false;
    // Until it came so far: a call that has no answer yet at its deadline is refused, for which no window is needed.
    for (auto timeout = 200ms; !ended && timeout < 15s; timeout *= 4) {
      const auto since = std::chrono::steady_clock::now();
      Raw raw(socket);
      raw.send(Raw::opening(c.window) + Raw::call(1, c.method, std::to_string(timeout.count()) + "m"));
      std::optional<Raw::Frame> frame;
      do {
        frame = raw.read_frame();
        ASSERT_TRUE(frame) << "the stream stays";
      } while (frame->type != Raw::kReset && !frame->ends_call());
      ended = frame->type == c.end;
      if (frame->type == Raw::kReset) {
        EXPECT_EQ(frame->payload, "\0\0\0\x08"s) << "CANCEL";
      }
      EXPECT_GE(std::chrono::steady_clock::now() - since, timeout);
      raw.send(Raw::call(3, "Version"));  // the connection goes on
      do {
        frame = raw.read_frame();
        ASSERT_TRUE(frame);
      } while (frame->type != Raw::kHeaders);
    }
    EXPECT_TRUE(ended) << "at no deadline by a frame of type " << int{c.end};
  }
  EXPECT_TRUE(version(*stub).ok());
}

// What one takes that never reads ends at a bound, and the others go on.
TEST_F(Wire, UnreadAnswersAreBounded) {
  auto stub = client();
  EXPECT_TRUE(run_pod(*stub, "big", 15 << 20, GRPC_COMPRESS_NONE).ok());
  Raw sleeper(socket);
  std::string all = Raw::opening(0);  // it takes nothing at all
  for (int i = 0; i < 60; i++) all += Raw::call(1 + 2 * i, "ListPodSandbox");
  sleeper.send(all);
  const auto refused = [&] { return version(*stub).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED; };
  bool seen = refused();
  for (int i = 0; i < 4000 && !seen; i++, seen = refused()) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(seen);  // 900 MiB were asked for
  sleeper = Raw(socket);
  for (int i = 0; i < 4000 && !version(*stub).ok(); i++) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(version(*stub).ok());  // with the connection its answers went
}

TEST_F(Wire, AnswersOnTheirWayArriveWhenTheServerStops) {
  auto stub = client();
  const auto id = hanging_container(*stub);
  auto call = std::async(std::launch::async, [&] {
    v1::StopContainerRequest request;
    request.set_container_id(id);
    v1::StopContainerResponse response;
    grpc::ClientContext context;
    return stub->StopContainer(&context, request, &response);
  });
  for (int i = 0; i < 1000 && runtime.hanging_stops() == 0; i++) std::this_thread::sleep_for(5ms);
  auto stopped = std::async(std::launch::async, [&] { return server->stop(10s); });
  std::this_thread::sleep_for(50ms);
  runtime.release_stops();
  EXPECT_TRUE(stopped.get());
  const auto status = call.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace podshim::test
