// One word of a closed list ("Always", "OnFailure", "Never") as an enum value; the first word is the default.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "common/json.h"

namespace podshim::kube {

template <typename T>
struct Choice {
  std::string_view text;
  T value;
};

template <typename T, std::size_t N>
Result<T> choose(const json::Reader& r, std::string_view name, const Choice<T> (&choices)[N]) {
  auto text = TRY(r.string_or(name, std::string(choices[0].text)));
  std::string known;
  for (const auto& c : choices) {
    if (c.text == text) return c.value;
    known += (known.empty() ? "" : ", ") + std::string(c.text);
  }
  return fail(r.error(name, "\"" + text + "\" is none of " + known));
}

template <typename T, std::size_t N>
std::string_view text_of(T value, const Choice<T> (&choices)[N]) {
  return std::ranges::find(choices, value, &Choice<T>::value)->text;
}

}  // namespace podshim::kube
