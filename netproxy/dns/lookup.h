// lookup: what is at a name of ours; its records are written as they are found. The parts of answer.h that know the
// shape of names. One question; pure.
#pragma once

#include <optional>

#include "netproxy/dns/answer.h"

namespace podshim::netproxy::dns {

inline constexpr std::uint32_t kTtl = 5;  // seconds; endpoints change, and asking again costs microseconds

struct Found {
  enum What : std::uint8_t {
    no_name,  // neither records nor names below
    no_data,  // the name is there, not with this type
    data,
    alias,  // a CNAME was written; `target` is the place of its target
  } what = no_name;
  Ref target = 0;  // reverse(): the apex of the zone
};

class Lookup {
 public:
  struct Parts {
    const Zone& zone;
    const ZoneFacts& facts;
    Reply& reply;
    std::uint16_t type;
    std::uint32_t spin;
  };
  explicit Lookup(Parts parts) : p_(parts) {}

  // `name` ends with the domain and stands, uncompressed, at `owner`.
  Found in_domain(const Name& name, Ref owner);
  // Nothing: the name is not ours. `name` is the question's.
  std::optional<Found> reverse(const Name& name);

 private:
  bool asks(std::uint16_t type) const;
  Found apex(Ref owner);
  Found below_svc(const Name& name, std::size_t depth, Ref owner);
  Found below_pod(const Name& name, std::size_t depth, Ref owner);
  Found service(const ServiceRecords& records, Ref owner);
  Found endpoint(const ServiceRecords& records, std::string_view label, Ref owner);
  Found ports(const ServiceRecords& records, const Name& name, Ref owner);
  // True when there is one of the asked family, whether or not it fitted.
  bool addresses(Section section, const std::vector<IpAddress>& list, Ref owner);
  bool pointers(const std::vector<AddressOwner>& owners, Ref owner);

  Parts p_;
};

}  // namespace podshim::netproxy::dns
