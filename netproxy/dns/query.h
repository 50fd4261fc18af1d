// query: a question as it came, read without a copy on the heap. Everything a client may send is expected here: what is
// no query gets no answer (two servers must not answer each other), what is malformed or not for us gets the code that
// says so. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace podshim::netproxy::dns {

using Bytes = std::span<const std::uint8_t>;

inline constexpr std::size_t kHeader = 12;     // RFC 1035 4.1.1
inline constexpr std::size_t kMaxName = 255;   // 2.3.4
inline constexpr std::size_t kMaxQuery = 512;  // a name and its options need no more; longer ones are FORMERR
inline constexpr std::size_t kPlainUdp = 512;  // 4.2.1: an answer without EDNS
inline constexpr std::size_t kMostUdp = 4096;  // the most that we send in a datagram, whatever a client offers
inline constexpr std::size_t kOurUdp = 1232;   // what we take and send ourselves: no fragments (DNS flag day 2020)
inline constexpr std::size_t kMaxTcp = 65535;

// A name in wire format, lower case, with the place of each label.
class Name {
 public:
  // Reads an uncompressed name from the front of `wire`: the bytes it took; 0 when there is none.
  std::size_t read(Bytes wire);
  std::size_t labels() const { return count_; }  // without the root
  std::string_view label(std::size_t i) const {
    return {wire_.data() + offsets_[i] + 1, static_cast<std::uint8_t>(wire_[offsets_[i]])};
  }
  std::string_view wire() const { return {wire_.data(), size_}; }
  // Where the last `n` labels begin.
  std::size_t suffix_offset(std::size_t n) const { return n == 0 ? size_ - 1 : offsets_[count_ - n]; }
  bool ends_with(const Name& suffix) const;

 private:
  std::array<char, kMaxName> wire_;
  std::array<std::uint8_t, 128> offsets_;
  std::size_t count_ = 0, size_ = 0;
};

struct Query {
  std::uint16_t id = 0;
  std::uint8_t opcode = 0;
  bool recursion_desired = false, checking_disabled = false;
  Bytes question;  // the section as it came: the answer repeats it to the letter
  Name name;
  std::uint16_t type = 0, klass = 0;
  bool edns = false, dnssec_ok = false;
  std::uint16_t udp_size = kPlainUdp;  // what the client takes
};

enum class Verdict : std::uint8_t {
  drop,    // no answer
  refuse,  // answer with `rcode`, and the question when it could be read
  take,
};

struct Parsed {
  Verdict verdict = Verdict::drop;
  std::uint16_t rcode = 0;  // with its EDNS part (BADVERS)
};

Parsed parse_query(Bytes wire, Query& out);

}  // namespace podshim::netproxy::dns
