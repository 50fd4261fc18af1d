#include "tests/support/packet_tracer.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace podshim::test {
namespace {

using namespace netproxy;

enum class Verdict { next, leave, accept, drop, reset, unreachable };

class Tracer {
 public:
  Tracer(Ruleset& ruleset, const TracedPacket& p, const std::function<std::uint32_t(std::uint32_t)>& random)
      : ruleset_(ruleset),
        random_(random),
        saddr_(*IpAddress::parse(p.from)),
        daddr_(*IpAddress::parse(p.to)),
        sent_to_(daddr_),
        protocol_(p.protocol),
        dport_(p.port),
        sent_port_(p.port),
        priority_(p.priority) {
    for (const auto& ip : p.local) local_.push_back(*IpAddress::parse(ip));
  }

  std::string run(Hook first) {
    auto verdict = hook(first);
    if (verdict == Verdict::drop) return "dropped";
    if (verdict == Verdict::reset) return "reset";
    if (verdict == Verdict::unreachable) return "unreachable";
    hook(Hook::postrouting);  // of an endpoint on this node: at input, which has the same rules
    std::string out = dnatted_ ? daddr_.str() + ":" + std::to_string(dport_) : "as sent";
    return out + (masqueraded_ ? " masqueraded" : "");
  }

 private:
  Verdict hook(Hook hook) {
    for (const auto& chain : ruleset_.chains) {
      if (chain.hook != hook) continue;
      auto verdict = run_chain(chain);
      if (verdict != Verdict::leave && verdict != Verdict::accept) return verdict;
    }
    return Verdict::accept;
  }

  // `leave`: the end of the chain or a return.
  Verdict run_chain(const Chain& chain) {
    for (const auto& rule : chain.rules) {
      auto verdict = Verdict::next;
      for (const auto& term : rule.terms) {
        bool matched = true;
        verdict = std::visit([&](const auto& t) { return apply(t, matched); }, term);
        if (!matched || verdict != Verdict::next) break;
      }
      if (gone_to_) {
        const auto* target = std::exchange(gone_to_, nullptr);
        bool by_goto = std::exchange(by_goto_, false);
        auto inner = run_chain(*target);
        if (by_goto || inner != Verdict::leave) return inner;
        continue;
      }
      if (verdict != Verdict::next) return verdict;
    }
    return Verdict::leave;
  }

  Bytes key_of(const Key& key) { return bytes_of(key.fields, key.modulus); }
  Bytes bytes_of(const std::vector<Field>& fields, std::uint32_t modulus) {
    Bytes out;
    for (auto field : fields) {
      switch (field) {
        case Field::saddr:
          out.address(saddr_);
          break;
        case Field::daddr:
          out.address(daddr_);
          break;
        case Field::l4proto:
          out.proto(protocol_);
          break;
        case Field::dport:
          out.port(dport_);
          break;
        case Field::slot:
          out.number(random_(modulus));
          break;
        case Field::klass:
          out.number(priority_);
          break;
        case Field::ct_daddr:
          out.address(sent_to_);
          break;
        case Field::ct_dport:
          out.port(sent_port_);
          break;
        case Field::ct_reply_sport:
          out.port(dport_);
          break;
      }
    }
    return out;
  }
  const Element* find(const Key& key, SetId set) {
    auto bytes = key_of(key);
    bool interval = set_decl(set).is_interval();
    for (const auto& e : ruleset_.elements) {
      if (e.set != set) continue;
      if (e.key == bytes || (interval && within(bytes, e))) return &e;
    }
    return nullptr;
  }
  // Of a concatenation of ranges: every byte string between first and last, where all but the last field are equal.
  static bool within(const Bytes& key, const Element& e) { return e.key <= key && key <= e.data; }
  Element* remembered(SetId map, const Bytes& key) {
    for (auto& e : ruleset_.elements)
      if (e.set == map && e.key == key) return &e;
    return nullptr;
  }
  const Chain* chain_named(const std::string& name) {
    for (const auto& c : ruleset_.chains)
      if (c.name == name) return &c;
    throw std::runtime_error("no chain " + name);
  }

  Verdict apply(const term::Nfproto& t, bool& m) { return m = t.family == daddr_.family(), Verdict::next; }
  Verdict apply(const term::L4proto& t, bool& m) { return m = t.protocol == protocol_, Verdict::next; }
  Verdict apply(const term::LocalSaddr&, bool& m) {
    m = std::ranges::find(local_, saddr_) != local_.end();
    return Verdict::next;
  }
  Verdict apply(const term::Update& t, bool&) {
    auto key = key_of(t.key);
    if (remembered(t.map, key) == nullptr)  // an update never changes the data of what is there
      ruleset_.elements.push_back({.set = t.map, .key = key, .data = bytes_of(t.data, 0)});
    return Verdict::next;
  }
  Verdict apply(const term::Counter&, bool&) { return Verdict::next; }
  Verdict apply(const term::LocalDaddr&, bool& m) {
    m = std::ranges::find(local_, daddr_) != local_.end();
    return Verdict::next;
  }
  Verdict apply(const term::Dnatted&, bool& m) { return m = dnatted_, Verdict::next; }
  Verdict apply(const term::Saddr& t, bool& m) { return m = t.cidr.contains(saddr_), Verdict::next; }
  Verdict apply(const term::Daddr& t, bool& m) { return m = t.cidr.contains(daddr_), Verdict::next; }
  Verdict apply(const term::In& t, bool& m) { return m = (find(t.key, t.set) != nullptr) != t.negate, Verdict::next; }
  Verdict apply(const term::SetPriority& t, bool& m) {
    const auto* e = find(t.key, t.map);
    m = e != nullptr;
    if (m) std::memcpy(&priority_, e->data.raw.data(), sizeof priority_);
    return Verdict::next;
  }
  Verdict apply(const term::PutPriority& t, bool&) { return priority_ = t.klass, Verdict::next; }
  Verdict apply(const term::PriorityVmap&, bool& m) {
    for (const auto& c : ruleset_.chains) {
      if (c.class_id != priority_) continue;
      gone_to_ = &c;
      by_goto_ = true;
      return Verdict::next;
    }
    m = false;
    return Verdict::next;
  }
  Verdict apply(const term::Dnat& t, bool& m) {
    const auto* e = find(t.key, t.map);
    m = e != nullptr;
    if (!m) return Verdict::next;
    std::size_t length = t.map.family == Family::v4 ? 4 : 16;
    daddr_ = IpAddress::from_bytes(t.map.family, e->data.view().first(length));
    dport_ = e->data.raw[length] << 8 | e->data.raw[length + 1];
    dnatted_ = true;
    return Verdict::accept;
  }
  Verdict apply(const term::Jump& t, bool&) { return gone_to_ = chain_named(t.chain), Verdict::next; }
  Verdict apply(const term::Goto& t, bool&) {
    by_goto_ = true;
    return gone_to_ = chain_named(t.chain), Verdict::next;
  }
  Verdict apply(const term::Return&, bool&) { return Verdict::leave; }
  Verdict apply(const term::Drop&, bool&) { return Verdict::drop; }
  Verdict apply(const term::Reject& t, bool&) { return t.tcp_reset ? Verdict::reset : Verdict::unreachable; }
  Verdict apply(const term::Masquerade&, bool&) { return masqueraded_ = true, Verdict::accept; }

  Ruleset& ruleset_;
  const std::function<std::uint32_t(std::uint32_t)>& random_;
  IpAddress saddr_, daddr_, sent_to_;
  Protocol protocol_;
  int dport_, sent_port_;
  std::uint32_t priority_;
  std::vector<IpAddress> local_;
  bool dnatted_ = false, masqueraded_ = false;
  const Chain* gone_to_ = nullptr;
  bool by_goto_ = false;
};

}  // namespace

std::string trace(Ruleset& ruleset, const TracedPacket& packet,
                  const std::function<std::uint32_t(std::uint32_t)>& random) {
  return Tracer(ruleset, packet, random).run(packet.by_node ? Hook::output : Hook::prerouting);
}

}  // namespace podshim::test
