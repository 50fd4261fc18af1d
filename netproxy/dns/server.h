// server: Service DNS on one thread of its own. It listens on the given addresses, over UDP and TCP, answers from its
// zone and forwards the rest. The zone belongs to that thread: publish() hands over changes, which are taken whole
// between two questions, so that the way of a question has no lock.
//
// open() binds in the calling thread's network namespace (the addresses must be there; EADDRINUSE = the port is taken);
// questions wait in the sockets until run(). stop() ends the thread; so does the destructor. publish() from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "netproxy/dns/connections.h"
#include "netproxy/dns/forwarder.h"

namespace podshim::netproxy::dns {

struct ServerOptions {
  std::vector<IpAddress> addresses;
  int port = 53;
  std::string domain = "cluster.local";
  std::vector<Cidr> pods;
  Cidr services;
  std::vector<DnsUpstream> upstream;  // empty = resolv_conf
  std::string resolv_conf = "/etc/resolv.conf";
  std::chrono::milliseconds timeout{4000};
  std::chrono::milliseconds idle = kIdle;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> open(const ServerOptions& options);
  ~Server();

  void publish(std::vector<Change> changes);
  void run();
  void stop();

 private:
  static constexpr std::size_t kBatch = 32;  // datagrams in one system call
  struct Datagrams;
  struct Listener {
    Fd udp, tcp;
  };
  struct Counters {
    std::uint64_t udp = 0, tcp = 0, dropped = 0;
  };

  Server(const ServerOptions& options, ZoneFacts facts, EpollSet epoll, Fd wake);
  Result<> listen(const ServerOptions& options);
  void loop();
  void on_event(Tag tag, std::uint32_t events);
  void take_changes();
  void serve_datagrams(std::uint32_t slot);
  // What goes to the client now; 0 = nothing, or later.
  std::size_t ask(const Client& client, Bytes wire, std::span<std::uint8_t> out);
  void deliver(const Client& client, Bytes answer);
  int wait_ms() const;
  void report() const;

  ZoneFacts facts_;
  EpollSet epoll_;
  Fd wake_;
  std::vector<Listener> listeners_;
  std::unique_ptr<Datagrams> datagrams_;
  std::vector<std::uint8_t> big_;  // an answer over TCP
  Forwarder forwarder_;
  Connections connections_;
  Zone zone_;
  std::uint32_t spin_ = 0;
  Clock::time_point now_;
  Counters counters_;

  std::mutex mutex_;
  std::vector<Change> changes_;  // guarded by mutex_
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace podshim::netproxy::dns
