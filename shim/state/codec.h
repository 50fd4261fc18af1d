// Encoder and Decoder: one list of fields a struct, both directions from it, so that decode(encode(x)) = x holds by
// construction. `fields(archive, value)` names each member once: `a("name", v.name)`.
//
// Members at their default ("" , 0, false, empty list, no value) are left out of the JSON. A missing member decodes to
// the default, an unknown one is ignored (an older daemon may have to read a newer record of the same version). Pure;
// any thread.
#pragma once

#include <array>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/ip.h"
#include "common/json.h"

namespace podshim::state {

// Names of an enum's values in order; specialised beside the field lists.
template <typename E>
struct EnumNames;

template <typename T>
json::Value to_value(const T& v);
template <typename T>
Result<T> from_value(const json::Value& v, const std::string& path);

class Encoder {
 public:
  template <typename T>
  void operator()(const char* name, const T& v) {
    if constexpr (std::is_enum_v<T>)
      out.set(name, to_value(v));
    else if (!(v == T{}))
      out.set(name, to_value(v));
  }
  json::Value out = json::Value::object();
};

class Decoder {
 public:
  Decoder(const json::Value& in, std::string path) : in_(in), path_(std::move(path)) {}
  template <typename T>
  void operator()(const char* name, T& v) {
    const json::Value* member = in_.find(name);
    if (error || member == nullptr || member->is_null()) return;
    auto got = from_value<T>(*member, path_.empty() ? name : path_ + "." + name);
    if (got)
      v = *std::move(got);
    else
      error = std::move(got).error();
  }
  std::optional<Error> error;

 private:
  const json::Value& in_;
  std::string path_;
};

namespace detail {

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsPair = false;
template <typename A, typename B>
inline constexpr bool kIsPair<std::pair<A, B>> = true;
template <typename T>
inline constexpr bool kIsId = std::is_same_v<T, SandboxId> || std::is_same_v<T, ContainerId>;

inline Error wrong(const std::string& path, const json::Value& got, const char* want) {
  return Error::of(ErrorKind::internal, "decode record", path, std::string(got.type_name()) + ", want " + want);
}

template <typename T>
Result<T> vector_from(const json::Value& v, const std::string& path) {
  if (!v.is_array()) return fail(wrong(path, v, "a list"));
  T out;
  for (const auto& item : v.as_array())
    out.push_back(TRY(from_value<typename T::value_type>(item, path + "[" + std::to_string(out.size()) + "]")));
  return out;
}

template <typename E>
Result<E> enum_from(const json::Value& v, const std::string& path) {
  if (v.is_string())
    for (std::size_t i = 0; i < EnumNames<E>::names.size(); i++)
      if (EnumNames<E>::names[i] == v.as_string()) return static_cast<E>(i);
  return fail(wrong(path, v, "a known name"));
}

template <typename T>
Result<T> integer_from(const json::Value& v, const std::string& path) {
  if (!v.is_integer() || !std::in_range<T>(v.as_integer())) return fail(wrong(path, v, "an integer in range"));
  return static_cast<T>(v.as_integer());
}

}  // namespace detail

template <typename T>
json::Value to_value(const T& v) {
  if constexpr (std::is_same_v<T, json::Value>) {
    return v;
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
    return json::Value(v);
  } else if constexpr (std::is_enum_v<T>) {
    return json::Value(EnumNames<T>::names[static_cast<std::size_t>(v)]);
  } else if constexpr (std::is_integral_v<T>) {
    return json::Value(static_cast<long long>(v));
  } else if constexpr (std::is_same_v<T, IpAddress> || detail::kIsId<T>) {
    return json::Value(v.str());
  } else if constexpr (detail::kIsOptional<T>) {
    return v ? to_value(*v) : json::Value();
  } else if constexpr (detail::kIsPair<T>) {
    return json::Value(json::Array{to_value(v.first), to_value(v.second)});
  } else if constexpr (detail::kIsVector<T>) {
    json::Array out;
    for (const auto& item : v) out.push_back(to_value(item));
    return json::Value(std::move(out));
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    return json::Value::string_map(v);
  } else {
    Encoder a;
    fields(a, v);
    return std::move(a.out);
  }
}

template <typename T>
Result<T> from_value(const json::Value& v, const std::string& path) {
  if constexpr (std::is_same_v<T, json::Value>) {
    return v;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!v.is_bool()) return fail(detail::wrong(path, v, "a boolean"));
    return v.as_bool();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!v.is_string()) return fail(detail::wrong(path, v, "a string"));
    return v.as_string();
  } else if constexpr (std::is_enum_v<T>) {
    return detail::enum_from<T>(v, path);
  } else if constexpr (std::is_integral_v<T>) {
    return detail::integer_from<T>(v, path);
  } else if constexpr (std::is_same_v<T, IpAddress> || detail::kIsId<T>) {
    if (!v.is_string()) return fail(detail::wrong(path, v, "a string"));
    return TRY_IN(T::parse(v.as_string()), path);
  } else if constexpr (detail::kIsOptional<T>) {
    return T(TRY(from_value<typename T::value_type>(v, path)));
  } else if constexpr (detail::kIsPair<T>) {
    if (!v.is_array() || v.as_array().size() != 2) return fail(detail::wrong(path, v, "a pair"));
    auto first = TRY(from_value<std::remove_const_t<typename T::first_type>>(v.as_array()[0], path + "[0]"));
    auto second = TRY(from_value<typename T::second_type>(v.as_array()[1], path + "[1]"));
    return T(std::move(first), std::move(second));
  } else if constexpr (detail::kIsVector<T>) {
    return detail::vector_from<T>(v, path);
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    if (!v.is_object()) return fail(detail::wrong(path, v, "an object"));
    T out;
    for (const auto& [key, item] : v.as_object()) out[key] = TRY(from_value<std::string>(item, path + "." + key));
    return out;
  } else {
    if (!v.is_object()) return fail(detail::wrong(path, v, "an object"));
    T out{};
    Decoder a(v, path);
    fields(a, out);
    if (a.error) return fail(*std::move(a.error));
    return out;
  }
}

}  // namespace podshim::state
