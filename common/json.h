// JSON values and a typed reader. The JSON library is seen only behind this header (json.cc).
//
// Value is a plain tree; objects keep the order of their members. `line` is the 1-based source line when the value came
// from YAML (common/yaml.h), 0 else, so that errors can say file:line. Numbers: integers stay exact (int64), the rest
// is double. parse() refuses duplicate keys, non-finite numbers and input nested deeper than 200.
//
// Reader reads one object: every accessor names the full field path in its error ("spec.ports[0].port"), remembers
// which members were asked for, and unknown() lists the rest. Values are borrowed: the tree outlives the Reader.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/result.h"

namespace podshim::json {

class Value;
using Array = std::vector<Value>;
using Member = std::pair<std::string, Value>;
using Object = std::vector<Member>;

class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool v) : data_(v) {}
  Value(int v) : data_(static_cast<std::int64_t>(v)) {}
  Value(unsigned v) : data_(static_cast<std::int64_t>(v)) {}
  Value(long v) : data_(static_cast<std::int64_t>(v)) {}
  Value(long long v) : data_(static_cast<std::int64_t>(v)) {}
  Value(unsigned long v) : data_(static_cast<std::int64_t>(v)) {}
  Value(double v) : data_(v) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(std::string_view v) : data_(std::string(v)) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(Array v);
  Value(Object v);
  static Value object() { return Value(Object{}); }
  static Value array() { return Value(Array{}); }
  static Value strings(const std::vector<std::string>& list);
  static Value string_map(const std::map<std::string, std::string>& map);

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }
  const char* type_name() const;

  // Only after the matching is_*().
  bool as_bool() const { return std::get<bool>(data_); }
  std::int64_t as_integer() const { return std::get<std::int64_t>(data_); }
  double as_number() const;
  const std::string& as_string() const { return std::get<std::string>(data_); }
  const Array& as_array() const { return std::get<Array>(data_); }
  Array& as_array() { return std::get<Array>(data_); }
  const Object& as_object() const { return std::get<Object>(data_); }
  Object& as_object() { return std::get<Object>(data_); }

  const Value* find(std::string_view name) const;  // nullptr when absent or not an object
  // Makes an object of null; adds or replaces. Returns *this, so that objects are built in one expression.
  Value& set(std::string name, Value v);
  Value& push(Value v);

  bool operator==(const Value& o) const { return data_ == o.data_; }  // lines do not count

  int line = 0;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> data_;
};

Result<Value> parse(std::string_view text);
std::string dump(const Value& value, int indent = -1);  // invalid UTF-8 becomes U+FFFD

class Reader {
 public:
  // `path` is the field path of this object ("" at the top), `file` goes in front of errors with the line.
  static Result<Reader> of(const Value& value, std::string path = {}, std::string file = {});

  bool has(std::string_view name) const;          // present and not null
  const Value* get(std::string_view name) const;  // nullptr when absent or null; marks it as known

  Result<std::string> string(std::string_view name) const;  // required
  Result<std::int64_t> integer(std::string_view name, std::int64_t low = INT64_MIN,
                               std::int64_t high = INT64_MAX) const;
  Result<bool> boolean(std::string_view name) const;
  Result<Reader> object(std::string_view name) const;

  Result<std::string> string_or(std::string_view name, std::string fallback) const;
  Result<std::int64_t> integer_or(std::string_view name, std::int64_t fallback, std::int64_t low = INT64_MIN,
                                  std::int64_t high = INT64_MAX) const;
  Result<bool> boolean_or(std::string_view name, bool fallback) const;
  Result<std::optional<std::string>> opt_string(std::string_view name) const;
  Result<std::optional<std::int64_t>> opt_integer(std::string_view name, std::int64_t low = INT64_MIN,
                                                  std::int64_t high = INT64_MAX) const;
  Result<std::optional<bool>> opt_boolean(std::string_view name) const;
  Result<std::optional<Reader>> opt_object(std::string_view name) const;
  // Absent or null gives an empty list or map.
  Result<std::vector<std::string>> strings(std::string_view name) const;
  Result<std::map<std::string, std::string>> string_map(std::string_view name) const;
  Result<std::vector<Reader>> objects(std::string_view name) const;

  // Marks a member as known without reading it.
  void ignore(std::string_view name) const { seen_.insert(std::string(name)); }
  std::vector<const Member*> unknown() const;
  Result<> no_unknown() const;  // the first unknown member as an error

  Error error(std::string_view name, std::string why) const;  // "file:line: path.name: why"
  std::string field(std::string_view name) const;             // "path.name"
  const std::string& path() const { return path_; }
  const std::string& file() const { return file_; }
  const Value& value() const { return *value_; }

 private:
  Reader(const Value& value, std::string path, std::string file)
      : value_(&value), path_(std::move(path)), file_(std::move(file)) {}
  Error wrong_type(std::string_view name, const Value& got, const char* want) const;

  const Value* value_;
  std::string path_;
  std::string file_;
  mutable std::set<std::string, std::less<>> seen_;
};

}  // namespace podshim::json
