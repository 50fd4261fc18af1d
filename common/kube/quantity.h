// Kubernetes quantities: "500m", "64Mi", "1e3", "0.5". Exact: a decimal number with a suffix, kept in units of 10^-9.
// Anything finer is rounded up, as Kubernetes does; values beyond 2^63 saturate. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/result.h"

namespace podshim::kube {

class Quantity {
 public:
  Quantity() = default;
  static Result<Quantity> parse(std::string_view text);
  // A YAML value: a string, or a bare number ("cpu: 1").
  static Result<Quantity> from(const json::Value& value);
  static Quantity of_whole(std::int64_t n);

  std::int64_t whole() const;  // bytes; rounded up
  std::int64_t milli() const;  // CPU; rounded up
  bool is_negative() const { return nano_ < 0; }
  auto operator<=>(const Quantity&) const = default;

 private:
  __extension__ using Wide = __int128;
  Wide nano_ = 0;
};

}  // namespace podshim::kube
