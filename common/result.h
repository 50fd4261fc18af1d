// Result<T> and TRY. GCC 12 has std::expected but no and_then; TRY is the one propagation macro.
//
//   Fd fd = TRY(sys::open(path, O_RDONLY));
//   TRY(sys::write_file(path, "1"));
//   TRY_IN(start(id), "start container " + id);   // adds a "while" frame on the way up
#pragma once

#include <expected>
#include <utility>

#include "common/error.h"

namespace podshim {

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Error e) { return std::unexpected<Error>(std::move(e)); }

}  // namespace podshim

#define TRY(...)                                                              \
  ({                                                                          \
    auto&& try_result_ = (__VA_ARGS__);                                       \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    *std::move(try_result_);                                                  \
  })

#define TRY_IN(expr, frame)                                                                 \
  ({                                                                                        \
    auto&& try_result_ = (expr);                                                            \
    if (!try_result_) return std::unexpected(std::move(try_result_).error().within(frame)); \
    *std::move(try_result_);                                                                \
  })
