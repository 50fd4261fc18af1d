// Header blocks of SPDY/3: name-value pairs, deflated with the protocol's dictionary in one zlib stream per direction
// and connection. After an error the stream, and with it the connection, is lost. One thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::streaming::spdy {

using Headers = std::map<std::string, std::string>;  // names in lower case

inline constexpr std::size_t kMaxHeaderBytes = 64 << 10;  // inflated: a small block can claim to be a huge one
inline constexpr std::size_t kMaxHeaders = 256;

class HeaderInflater {
 public:
  HeaderInflater();
  ~HeaderInflater();
  Result<Headers> inflate(std::string_view block);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

class HeaderDeflater {
 public:
  HeaderDeflater();
  ~HeaderDeflater();
  std::string deflate(const Headers& headers);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

Result<Headers> parse_header_block(std::string_view inflated);
std::string_view dictionary();

}  // namespace podshim::streaming::spdy
