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

// The counter keeps nested uses apart: TRY(f(TRY(g()))).
#define TRY_JOIN_(a, b) a##b
#define TRY_NAME_(n) TRY_JOIN_(try_result_, n)
#define TRY_AS_(name, ...)                                      \
  ({                                                            \
    auto&& name = (__VA_ARGS__);                                \
    if (!name) return std::unexpected(std::move(name).error()); \
    *std::move(name);                                           \
  })
#define TRY_IN_AS_(name, expr, frame)                                         \
  ({                                                                          \
    auto&& name = (expr);                                                     \
    if (!name) return std::unexpected(std::move(name).error().within(frame)); \
    *std::move(name);                                                         \
  })
#define TRY(...) TRY_AS_(TRY_NAME_(__COUNTER__), __VA_ARGS__)
#define TRY_IN(expr, frame) TRY_IN_AS_(TRY_NAME_(__COUNTER__), expr, frame)
