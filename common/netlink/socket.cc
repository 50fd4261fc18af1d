#include "common/netlink/socket.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include "common/sys/netns.h"
#include "common/sys/retry.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

namespace podshim::netlink {
namespace {

constexpr int kDumpTries = 8;
constexpr std::size_t kBuffer = (1 << 17) - 1024;  // just so much that malloc needs no mapping of its own

const Batch::Request* request_of(const Batch& batch, std::uint32_t seq) {
  const auto& all = batch.requests();
  if (all.empty() || seq - all.front().seq >= all.size()) return nullptr;
  return &all[seq - all.front().seq];
}

// The errno and the extended ack of an NLMSG_ERROR or NLMSG_DONE; nothing when it says "fine".
std::optional<Error> refusal(const Message& m, const Batch::Request& request) {
  auto code = m.header<std::int32_t>();
  if (!code || *code >= 0) return std::nullopt;
  Error e = Error::sys(request.op, request.subject, request.subject2, -*code);
  if ((m.flags & NLM_F_ACK_TLVS) == 0) return e;
  // The request's header follows the code; all of the request too unless it was capped (netlink(7), NETLINK_CAP_ACK).
  std::size_t skip = sizeof(nlmsgerr);
  if (auto err = m.header<nlmsgerr>(); err && (m.flags & NLM_F_CAPPED) == 0 && err->msg.nlmsg_len > sizeof(nlmsghdr))
    skip += err->msg.nlmsg_len - sizeof(nlmsghdr);
  if (m.type == NLMSG_DONE) skip = sizeof(std::int32_t);
  if (m.payload.size() > skip) e.detail = Attributes(m.payload.subspan(skip)).string(NLMSGERR_ATTR_MSG);
  return e;
}

}  // namespace

Socket::Socket(Fd fd) : fd_(std::move(fd)), buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(kBuffer)) {}

Result<Socket> Socket::open(Protocol protocol) {
  int family = protocol == Protocol::route ? NETLINK_ROUTE : NETLINK_NETFILTER;
  const char* name = protocol == Protocol::route ? "rtnetlink" : "nfnetlink";
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family));
  if (!fd) return fail(Error::sys("socket", name));
  // All three only make answers better or shorter: a kernel without one still works.
  int on = 1;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return Socket(std::move(fd));
}

Result<Socket> Socket::open_in(const Fd& netns, Protocol protocol) {
  std::optional<Result<Socket>> out;
  TRY(sys::in_netns_here(netns, [&]() -> Result<> {
    out = open(protocol);
    return {};
  }));
  return *std::move(out);
}

Result<> Socket::send(Batch& batch, std::uint16_t extra_flags) {
  if (batch.too_large()) return fail(Error::sys("send", "netlink batch", {}, EMSGSIZE));
  for (auto& r : batch.requests()) {
    r.seq = ++seq_;
    batch.header(r)->nlmsg_seq = r.seq;
    batch.header(r)->nlmsg_flags |= extra_flags;
  }
  auto data = batch.buffer();
  ssize_t n = sys::retry([&] { return ::send(fd_.get(), data.data(), data.size(), 0); });
  if (n < 0) return fail(Error::sys("send", "netlink batch"));
  return {};
}

Result<bool> Socket::receive(bool wait, const std::function<void(const Message&)>& each) {
  // MSG_TRUNC tells the true length; the kernel sends no datagram of more than 32 kB unless one object needs it.
  ssize_t n =
      sys::retry([&] { return ::recv(fd_.get(), buffer_.get(), kBuffer, MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT)); });
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !wait) return false;
  if (n < 0) return fail(Error::sys("receive", "netlink"));
  if (static_cast<std::size_t>(n) > kBuffer) return fail(Error::sys("receive", "netlink", {}, EMSGSIZE));
  Bytes rest(buffer_.get(), static_cast<std::size_t>(n));
  while (auto message = next_message(rest)) each(*message);
  return true;
}

Result<std::vector<Result<>>> Socket::outcomes(Batch& batch) {
  std::vector<Result<>> out(batch.requests().size());
  if (batch.empty()) return out;
  TRY(send(batch, NLM_F_ACK));
  std::size_t missing = out.size();
  while (missing > 0) {
    TRY(receive(true, [&](const Message& m) {
      const auto* request = m.type == NLMSG_ERROR ? request_of(batch, m.seq) : nullptr;
      if (request == nullptr) return;
      missing--;
      if (auto e = refusal(m, *request)) out[static_cast<std::size_t>(request - batch.requests().data())] = fail(*e);
    }));
  }
  return out;
}

Result<> Socket::execute(Batch& batch) {
  auto answers = TRY(outcomes(batch));
  for (auto& answer : answers) TRY(answer);
  return {};
}

Result<> Socket::transact(Batch& batch) {
  if (batch.empty()) return {};
  TRY(send(batch, 0));
  // nfnetlink has run the whole batch when send() returns: what is not in the queue by now will not come.
  std::optional<Error> first;
  while (TRY(receive(false, [&](const Message& m) {
    const auto* request = m.type == NLMSG_ERROR ? request_of(batch, m.seq) : nullptr;
    if (request == nullptr || first) return;
    first = refusal(m, *request);
  }))) {
  }
  if (first) return fail(*std::move(first));
  return {};
}

Result<> Socket::dump_once(Batch& request, const std::function<void(const Message&)>& each, bool* interrupted) {
  TRY(send(request, NLM_F_DUMP));
  const auto& asked = request.requests().front();
  std::optional<Error> error;
  bool done = false;
  while (!done) {
    TRY(receive(true, [&](const Message& m) {
      if (m.seq != asked.seq || done) return;
      if ((m.flags & NLM_F_DUMP_INTR) != 0) *interrupted = true;
      if (m.type == NLMSG_ERROR || m.type == NLMSG_DONE) {
        done = true;
        error = refusal(m, asked);
      } else {
        each(m);
      }
    }));
  }
  if (error) return fail(*std::move(error));
  return {};
}

Result<> Socket::dump(Batch& request, const std::function<void(const Message&)>& each) {
  const auto asked = request.requests().front();
  for (int i = 0; i < kDumpTries; i++) {
    // Replies of an interrupted dump are thrown away: they may hold an entry twice or not at all.
    std::vector<std::vector<std::uint8_t>> payloads;
    std::vector<Message> messages;
    bool interrupted = false;
    TRY(dump_once(
        request,
        [&](const Message& m) {
          payloads.emplace_back(m.payload.begin(), m.payload.end());
          messages.push_back({.type = m.type, .flags = m.flags, .seq = m.seq, .payload = payloads.back()});
        },
        &interrupted));
    if (interrupted) continue;
    for (const auto& m : messages) each(m);
    return {};
  }
  return fail(Error::sys(asked.op, asked.subject, asked.subject2, EINTR));
}

Result<> Socket::query(Batch& request, const std::function<void(const Message&)>& reply) {
  TRY(send(request, 0));
  const auto& asked = request.requests().front();
  std::optional<Error> error;
  bool done = false;
  while (!done) {
    TRY(receive(true, [&](const Message& m) {
      if (m.seq != asked.seq || done) return;
      done = true;
      if (m.type == NLMSG_ERROR) {
        error = refusal(m, asked);
      } else {
        reply(m);
      }
    }));
  }
  if (error) return fail(*std::move(error));
  return {};
}

}  // namespace podshim::netlink
