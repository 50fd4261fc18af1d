#include "common/netlink/mac.h"

#include <cstdio>

namespace podshim::netlink {

Result<Mac> Mac::parse(std::string_view text) {
  std::string z(text);
  unsigned b[6];
  int used = 0;
  auto bad = [&](const char* why) { return fail(Error::invalid("mac", "\"" + z + "\" " + why)); };
  if (z.size() != 17 ||
      std::sscanf(z.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
      used != 17)
    return bad("is not six hex bytes with colons");
  Mac out;
  for (int i = 0; i < 6; i++) out.bytes[i] = static_cast<std::uint8_t>(b[i]);
  if ((out.bytes[0] & 1) != 0) return bad("is a group address");
  if (out.empty()) return bad("is all zero");
  return out;
}

std::string Mac::str() const {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                bytes[5]);
  return text;
}

}  // namespace podshim::netlink
