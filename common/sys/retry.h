// EINTR is handled here and nowhere else.
#pragma once

#include <cerrno>

namespace podshim::sys {

template <typename Call>
auto retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

}  // namespace podshim::sys
