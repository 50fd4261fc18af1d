#include "shim/streaming/tokens.h"

#include "common/ids.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kTokenBytes = 16;

Error refuse(const std::string& token, std::string why) {
  return Error::of(ErrorKind::not_found, "token", token.substr(0, 2 * kTokenBytes), std::move(why));
}

}  // namespace

std::string_view kind_path(Kind kind) {
  switch (kind) {
    case Kind::exec:
      return "exec";
    case Kind::attach:
      return "attach";
    case Kind::port_forward:
      return "portforward";
  }
  return "";
}

Result<std::string> Tokens::issue(Order order, Clock::time_point now) {
  std::string token = random_hex(kTokenBytes);
  std::lock_guard lock(mutex_);
  if (entries_.size() >= capacity_) forget(now - life_, true);
  if (entries_.size() >= capacity_)
    return fail(Error::of(ErrorKind::resource_exhausted, "token", order.id,
                          std::to_string(capacity_) + " streams are ordered and nobody has come for them"));
  // Spent and expired ones are kept for one more life, to tell the client what was wrong.
  if (entries_.size() % 64 == 0) forget(now - 2 * life_, false);
  entries_.emplace(token, Entry{.order = std::move(order), .issued = now});
  return token;
}

Result<Order> Tokens::take(Kind kind, const std::string& token, Clock::time_point now) {
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(token);
  if (it == entries_.end()) return fail(refuse(token, "was never issued, or has expired"));
  Entry& entry = it->second;
  if (entry.used) return fail(refuse(token, "was used already"));
  entry.used = true;
  Order order = std::move(entry.order);
  entry.order = {};
  if (now - entry.issued >= life_) return fail(refuse(token, "has expired"));
  if (order.kind != kind) return fail(refuse(token, "is for " + std::string(kind_path(order.kind))));
  return order;
}

std::size_t Tokens::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

void Tokens::forget(Clock::time_point older_than, bool used) {
  std::erase_if(entries_, [&](const auto& e) { return e.second.issued <= older_than || (used && e.second.used); });
}

}  // namespace podshim::streaming
