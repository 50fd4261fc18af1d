#include "shim/streaming/server.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <deque>
#include <list>
#include <thread>
#include <unordered_map>

#include "common/log.h"
#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/lanes.h"
#include "shim/streaming/router.h"
#include "shim/streaming/session.h"
#include "shim/streaming/visitor.h"

namespace podshim::streaming {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr int kBacklog = 512;

// A client whose machine is gone is noticed in two minutes, also when nothing is sent.
void tune(Tcp::socket& socket) {
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(socket.native_handle(), level, name, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

// Where a client on this machine finds a server that listens everywhere.
std::string dial_name(const asio::ip::address& address) {
  if (address.is_v4()) return address.is_unspecified() ? "127.0.0.1" : address.to_string();
  return "[" + (address.is_unspecified() ? "::1" : address.to_string()) + "]";
}

}  // namespace

struct Server::Core {
  Core(Runtime& runtime, const ServerOptions& options, Blocking blocking)
      : io(std::make_shared<asio::io_context>(1)),
        limits(options.limits),
        context{
            .runtime = runtime,
            .io = io,
            .limits = options.limits,
            .blocking = [lanes = Lanes(std::move(blocking), options.limits.lane_running, options.limits.lane_waiting)](
                            const std::string& lane, auto call) mutable { return lanes.submit(lane, std::move(call)); },
            .closed = [this](Session* session) { session_closed(session); }},
        tokens(options.limits.token, options.limits.tokens),
        acceptor(*io),
        pause(*io),
        work(io->get_executor()) {}

  Result<> listen(const ServerOptions& options);
  void accept();
  void visit(Tcp::socket socket);
  void received(Visitor* visitor, const std::string& bytes, std::size_t header);
  void refuse(const std::shared_ptr<Socket>& socket, const Refusal& why);
  void session_closed(Session* session);
  void run();
  void stop();

  const std::shared_ptr<asio::io_context> io;
  const Limits limits;
  const SessionContext context;
  Tokens tokens;
  std::unique_ptr<TlsContext> tls;
  Tcp::acceptor acceptor;
  Timer pause;
  std::list<std::shared_ptr<Visitor>> visitors;  // the oldest first
  std::deque<std::weak_ptr<Carrier>> refused;    // they read their answer; the oldest first, as many as visitors
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions;
  std::atomic<std::size_t> session_count{0};
  std::string base_url;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::thread thread;
};

Result<> Server::Core::listen(const ServerOptions& options) {
  const std::string where = options.address + " port " + std::to_string(options.port);
  if (options.certificate.empty() != options.key.empty())
    return fail(Error::invalid("streaming", "a certificate and a key belong together"));
  if (!options.certificate.empty()) tls = TRY(TlsContext::load(options.certificate, options.key));
  ErrorCode error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) return fail(Error::invalid("streaming address", "\"" + options.address + "\" is no address"));
  const Tcp::endpoint endpoint(address, options.port);
  const auto failed = [&](const char* op) { return fail(Error::sys(op, where, {}, error.value())); };
  if (acceptor.open(endpoint.protocol(), error)) return failed("open socket for");
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  if (acceptor.set_option(asio::socket_base::reuse_address(true), error)) return failed("set up");
  if (acceptor.bind(endpoint, error)) return failed("bind to");
  if (acceptor.listen(kBacklog, error)) return failed("listen on");
  const auto bound = acceptor.local_endpoint(error);
  if (error) return failed("look at");
  base_url = (tls ? "https://" : "http://") + dial_name(address) + ":" + std::to_string(bound.port());
  if (!address.is_loopback() && !tls)
    log::warn("the streaming server is open to the network without TLS", {{"address", base_url}});
  return {};
}

void Server::Core::accept() {
  acceptor.async_accept([this](ErrorCode error, Tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (!error) {
      visit(std::move(socket));
      return accept();
    }
    log::warn("accept", {{"server", "streaming"}, {"error", error.message()}});
    pause.after(kAcceptPause, [this] { accept(); });  // no descriptors: they come back
  });
}

void Server::Core::visit(Tcp::socket socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  tune(socket);
  if (visitors.size() >= limits.visitors) {
    visitors.front()->drop();
    visitors.pop_front();
  }
  auto stream = tls ? tls->wrap(*io, std::move(socket)) : plain_socket(*io, std::move(socket));
  visitors.push_back(std::make_shared<Visitor>(*io, std::move(stream)));
  visitors.back()->start(limits, [this](Visitor* visitor, const std::string& bytes, std::size_t header) {
    received(visitor, bytes, header);
  });
}

void Server::Core::received(Visitor* visitor, const std::string& bytes, std::size_t header) {
  const auto socket = visitor->socket();
  visitors.remove_if([&](const auto& v) { return v.get() == visitor; });
  if (header == 0) return socket->close();
  auto routed = route(tokens, sessions.size() < limits.sessions, std::string_view(bytes).substr(0, header));
  if (!routed) {
    log::info("streaming client refused", {{"status", routed.error().status}, {"why", routed.error().text}});
    return refuse(socket, routed.error());
  }
  auto session = open_session(context, std::move(*routed), socket, bytes, header);
  auto* const key = session.get();
  sessions.emplace(key, std::move(session));
  session_count = sessions.size();
  key->start();
}

void Server::Core::refuse(const std::shared_ptr<Socket>& socket, const Refusal& why) {
  std::erase_if(refused, [](const auto& carrier) { return carrier.expired(); });
  if (refused.size() >= limits.visitors) {
    if (const auto oldest = refused.front().lock()) oldest->abort();
    refused.pop_front();
  }
  const auto carrier = byte_carrier(*io, socket, limits, "", "");
  refused.push_back(carrier);
  carrier->start(nullptr);
  carrier->send(refusal(why.status, why.text));
  carrier->finish();
}

void Server::Core::session_closed(Session* session) {
  // Not now: the session is on the stack.
  asio::post(*io, [this, session] {
    sessions.erase(session);
    session_count = sessions.size();
  });
}

void Server::Core::run() {
  ::pthread_setname_np(::pthread_self(), "streaming");
  for (;;) {
    try {
      io->run();
      return;
    } catch (const std::exception& e) {  // a library's; ours do not throw
      log::error("exception in the streaming server", {{"what", e.what()}});
    }
  }
}

void Server::Core::stop() {
  if (!thread.joinable()) return;
  asio::post(*io, [this] {
    ErrorCode ignored;
    acceptor.close(ignored);
    pause.cancel();
    for (const auto& visitor : visitors) visitor->drop();
    visitors.clear();
    for (const auto& [key, session] : sessions) session->abort();
    sessions.clear();
    session_count = 0;
    work.reset();
    io->stop();
  });
  thread.join();
}

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<Server>> Server::start(Runtime& runtime, const ServerOptions& options, Blocking blocking) try {
  auto core = std::make_unique<Core>(runtime, options, std::move(blocking));
  TRY_IN(core->listen(options), "start the streaming server");
  core->accept();
  auto* const raw = core.get();
  std::unique_ptr<Server> server(new Server(std::move(core)));
  raw->thread = std::thread([raw] { raw->run(); });
  log::info("streaming", {{"address", raw->base_url}});
  return server;
} catch (const std::exception& e) {  // the library's and the thread's, for want of descriptors
  return fail(Error::of(ErrorKind::internal, "start the streaming server", options.address, e.what()));
}

Server::~Server() {
  stop();
  // What calls on the pool have posted since: streams that nobody takes are given back.
  core_->io->restart();
  core_->io->poll();
}

Result<std::string> Server::issue(Order order) {
  const std::string path = std::string(kind_path(order.kind));
  return core_->base_url + "/" + path + "/" + TRY(core_->tokens.issue(std::move(order), Tokens::Clock::now()));
}

std::string Server::address() const { return core_->base_url; }
std::size_t Server::sessions() const { return core_->session_count; }
void Server::stop() { core_->stop(); }

}  // namespace podshim::streaming
