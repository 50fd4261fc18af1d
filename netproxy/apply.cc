#include "netproxy/apply.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/sys/retry.h"

namespace podshim::netproxy {
namespace {

constexpr std::size_t kReplySize = 1024;  // what one refusal costs of the receive buffer, with the kernel's overhead
constexpr std::size_t kMaxReceive = 32 << 20;
constexpr int kDumpTries = 5;
constexpr int kWatchBuffer = 4 << 20;

Result<Fd> open_socket(std::uint32_t* port) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return fail(Error::sys("socket", "nfnetlink"));
  sockaddr_nl address{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::sys("bind", "nfnetlink"));
  socklen_t length = sizeof address;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return fail(Error::sys("getsockname", "nfnetlink"));
  *port = address.nl_pid;
  return fd;
}

void set_option(const Fd& fd, int level, int option, int value) {
  ::setsockopt(fd.get(), level, option, &value, sizeof value);
}

}  // namespace

Result<Kernel> Kernel::open() {
  std::uint32_t port = 0;
  auto fd = TRY(open_socket(&port));
  // Both make refusals shorter and clearer; without them they still come.
  set_option(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  set_option(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  return Kernel(std::move(fd), port);
}

void Kernel::size_buffers(std::size_t bytes, std::size_t requests) {
  set_option(fd_, SOL_SOCKET, SO_SNDBUFFORCE, static_cast<int>(std::max<std::size_t>(bytes + 4096, 1 << 18)));
  set_option(fd_, SOL_SOCKET, SO_RCVBUFFORCE,
             static_cast<int>(std::clamp<std::size_t>(requests * kReplySize, 1 << 18, kMaxReceive)));
}

Result<> Kernel::send(netlink::Batch& batch) {
  if (batch.too_large()) return fail(Error::sys("send", "nftables batch", {}, EMSGSIZE));
  for (auto& r : batch.requests()) {
    r.seq = ++seq_;
    batch.header(r)->nlmsg_seq = r.seq;
  }
  auto data = batch.buffer();
  if (sys::retry([&] { return ::send(fd_.get(), data.data(), data.size(), 0); }) < 0)
    return fail(Error::sys("send", "nftables batch of " + std::to_string(data.size()) + " bytes"));
  return {};
}

Result<Outcome> Kernel::commit(netlink::Batch& batch) {
  size_buffers(batch.bytes().size(), batch.requests().size());
  TRY(send(batch));
  Outcome out;
  for (;;) {
    ssize_t n = sys::retry([&] { return ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT); });
    if (n < 0 && errno == EAGAIN) return out;
    if (n < 0 && errno == ENOBUFS) {
      out.unknown = true;
      continue;
    }
    if (n < 0) return fail(Error::sys("receive", "nfnetlink"));
    auto found = parse_refusals({buffer_.data(), static_cast<std::size_t>(n)}, batch);
    std::move(found.begin(), found.end(), std::back_inserter(out.refusals));
  }
}

Result<std::optional<TableIdentity>> Kernel::table() {
  netlink::Batch request;
  request.begin("find table", kTable, {}, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0,
                nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
  request.put_string(NFTA_TABLE_NAME, kTable);
  TRY(send(request));
  ssize_t n = sys::retry([&] { return ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT); });
  if (n < 0) return fail(Error::sys("receive", "nfnetlink"));
  netlink::Bytes datagram(buffer_.data(), static_cast<std::size_t>(n));
  auto refusals = parse_refusals(datagram, request);
  if (!refusals.empty() && refusals.front().error.is(ENOENT)) return std::nullopt;
  if (!refusals.empty()) return fail(std::move(refusals.front().error));
  auto message = netlink::next_message(datagram);
  if (!message) return fail(Error::of(ErrorKind::internal, "find table", kTable, "no answer"));
  return parse_table(*message);
}

Result<std::vector<Remembered>> Kernel::remembered(SetId map) {
  for (int i = 0; i < kDumpTries; i++) {
    std::vector<Remembered> out;
    if (TRY(dump(map, out))) return out;
  }
  return fail(Error::sys("list elements", set_name(map), {}, EINTR));
}

Result<bool> Kernel::dump(SetId map, std::vector<Remembered>& out) {
  netlink::Batch request;
  request.begin("list elements", set_name(map), {}, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, NLM_F_DUMP,
                nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
  request.put_string(NFTA_SET_ELEM_LIST_TABLE, kTable);
  request.put_string(NFTA_SET_ELEM_LIST_SET, set_name(map));
  TRY(send(request));
  bool whole = true;
  for (;;) {
    ssize_t n = sys::retry([&] { return ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0); });
    if (n < 0) return fail(Error::sys("receive", "nfnetlink"));
    netlink::Bytes datagram(buffer_.data(), static_cast<std::size_t>(n));
    auto refusals = parse_refusals(datagram, request);
    if (!refusals.empty() && refusals.front().error.is(ENOENT)) return true;
    if (!refusals.empty()) return fail(std::move(refusals.front().error));
    while (auto m = netlink::next_message(datagram)) {
      whole = whole && (m->flags & NLM_F_DUMP_INTR) == 0;
      if (m->type == NLMSG_DONE) return whole;
      parse_remembered(*m, map, out);
    }
  }
}

Result<Watch> Watch::open(std::uint32_t own_port) {
  std::uint32_t port = 0;
  auto fd = TRY(open_socket(&port));
  set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kWatchBuffer);
  int group = NFNLGRP_NFTABLES;
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail(Error::sys("setsockopt", "nfnetlink notifications"));
  return Watch(std::move(fd), own_port);
}

void Watch::leave() { set_option(fd_, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, NFNLGRP_NFTABLES); }
void Watch::join() { set_option(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES); }

Result<Watch::Seen> Watch::read() {
  auto seen = Seen::nothing;
  for (;;) {
    ssize_t n = sys::retry([&] { return ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT); });
    if (n < 0 && errno == EAGAIN) return seen;
    if (n < 0 && errno == ENOBUFS) {
      if (seen == Seen::nothing) seen = Seen::lost;
      continue;
    }
    if (n < 0) return fail(Error::sys("receive", "nfnetlink notifications"));
    if (touches_our_table({buffer_.data(), static_cast<std::size_t>(n)}, own_port_)) seen = Seen::foreign;
  }
}

}  // namespace podshim::netproxy
