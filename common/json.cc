#include "common/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace podshim::json {
namespace {

constexpr std::size_t kMaxDepth = 200;

// Builds the tree from the library's events. Returning false stops the parse; `error_` then says why.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Value root;
  std::string error_;

  bool null() override { return put(Value()); }
  bool boolean(bool v) override { return put(Value(v)); }
  bool number_integer(number_integer_t v) override { return put(Value(static_cast<std::int64_t>(v))); }
  bool number_unsigned(number_unsigned_t v) override {
    if (v > static_cast<number_unsigned_t>(INT64_MAX)) return put(Value(static_cast<double>(v)));
    return put(Value(static_cast<std::int64_t>(v)));
  }
  bool number_float(number_float_t v, const string_t& text) override {
    if (!std::isfinite(v)) return refuse("number " + text + " is out of range");
    return put(Value(v));
  }
  bool string(string_t& v) override { return put(Value(std::move(v))); }
  bool binary(binary_t&) override { return refuse("binary value"); }
  bool start_object(std::size_t) override { return open(Value::object()); }
  bool start_array(std::size_t) override { return open(Value::array()); }
  bool key(string_t& name) override {
    if (stack_.back()->find(name) != nullptr) return refuse("duplicate key \"" + name + "\"");
    keys_.back() = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    return refuse(e.what());
  }

 private:
  bool refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }
  Value* attach(Value v) {
    if (stack_.empty()) {
      root = std::move(v);
      return &root;
    }
    if (stack_.back()->is_array()) return &stack_.back()->as_array().emplace_back(std::move(v));
    return &stack_.back()->as_object().emplace_back(std::move(keys_.back()), std::move(v)).second;
  }
  bool put(Value v) {
    attach(std::move(v));
    return true;
  }
  bool open(Value v) {
    if (stack_.size() >= kMaxDepth) return refuse("nested too deeply");
    // Pointers stay valid: a container only grows while it is the innermost open one.
    stack_.push_back(attach(std::move(v)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }
  std::vector<Value*> stack_;
  std::vector<std::string> keys_;
};

nlohmann::ordered_json to_library(const Value& v) {
  if (v.is_null()) return nullptr;
  if (v.is_bool()) return v.as_bool();
  if (v.is_integer()) return v.as_integer();
  if (v.is_number()) return v.as_number();
  if (v.is_string()) return v.as_string();
  if (v.is_array()) {
    auto out = nlohmann::ordered_json::array();
    for (const auto& item : v.as_array()) out.push_back(to_library(item));
    return out;
  }
  auto out = nlohmann::ordered_json::object();
  for (const auto& [name, item] : v.as_object()) out[name] = to_library(item);
  return out;
}

}  // namespace

Value::Value(Array v) : data_(std::move(v)) {}
Value::Value(Object v) : data_(std::move(v)) {}

Value Value::strings(const std::vector<std::string>& list) {
  Value out = array();
  for (const auto& s : list) out.push(s);
  return out;
}

Value Value::string_map(const std::map<std::string, std::string>& map) {
  Value out = object();
  for (const auto& [k, v] : map) out.as_object().emplace_back(k, v);
  return out;
}

const char* Value::type_name() const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                           "a string", "a list",    "an object"};
  return kNames[data_.index()];
}

double Value::as_number() const { return is_integer() ? static_cast<double>(as_integer()) : std::get<double>(data_); }

const Value* Value::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const auto& [key, value] : as_object())
    if (key == name) return &value;
  return nullptr;
}

Value& Value::set(std::string name, Value v) {
  if (is_null()) data_ = Object{};
  for (auto& [key, value] : as_object()) {
    if (key == name) {
      value = std::move(v);
      return *this;
    }
  }
  as_object().emplace_back(std::move(name), std::move(v));
  return *this;
}

Value& Value::push(Value v) {
  if (is_null()) data_ = Array{};
  as_array().push_back(std::move(v));
  return *this;
}

Result<Value> parse(std::string_view text) {
  Builder builder;
  bool ok = false;
  try {
    ok = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const std::exception& e) {
    builder.error_ = e.what();
  }
  if (!ok) return fail(Error::of(ErrorKind::invalid_argument, "parse", "JSON", builder.error_));
  return std::move(builder.root);
}

std::string dump(const Value& value, int indent) {
  return to_library(value).dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<Reader> Reader::of(const Value& value, std::string path, std::string file) {
  if (!value.is_object()) {
    std::string where = file.empty() ? "" : file + ":" + std::to_string(value.line) + ": ";
    return fail(Error::invalid(where + (path.empty() ? "document" : path),
                               std::string("is ") + value.type_name() + ", an object is expected"));
  }
  return Reader(value, std::move(path), std::move(file));
}

std::string Reader::field(std::string_view name) const {
  if (name.empty()) return path_;
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

Error Reader::error(std::string_view name, std::string why) const {
  std::string where;
  if (!file_.empty()) {
    const Value* v = name.empty() ? nullptr : value_->find(name);
    int line = v != nullptr && v->line != 0 ? v->line : value_->line;
    where = file_ + (line != 0 ? ":" + std::to_string(line) : "") + ": ";
  }
  return Error::invalid(where + field(name), std::move(why));
}

Error Reader::wrong_type(std::string_view name, const Value& got, const char* want) const {
  std::string shown = got.is_object() || got.is_array() ? "" : " (" + dump(got) + ")";
  return error(name, std::string("is ") + got.type_name() + shown + ", " + want + " is expected");
}

bool Reader::has(std::string_view name) const {
  const Value* v = value_->find(name);
  return v != nullptr && !v->is_null();
}

const Value* Reader::get(std::string_view name) const {
  seen_.insert(std::string(name));
  const Value* v = value_->find(name);
  return v == nullptr || v->is_null() ? nullptr : v;
}

Result<std::optional<std::string>> Reader::opt_string(std::string_view name) const {
  const Value* v = get(name);
  if (v == nullptr) return std::nullopt;
  if (!v->is_string()) return fail(wrong_type(name, *v, "a string"));
  return v->as_string();
}

Result<std::optional<std::int64_t>> Reader::opt_integer(std::string_view name, std::int64_t low,
                                                        std::int64_t high) const {
  const Value* v = get(name);
  if (v == nullptr) return std::nullopt;
  if (!v->is_integer()) return fail(wrong_type(name, *v, "an integer"));
  if (v->as_integer() < low || v->as_integer() > high)
    return fail(error(
        name, std::to_string(v->as_integer()) + " is outside " + std::to_string(low) + ".." + std::to_string(high)));
  return v->as_integer();
}

Result<std::optional<bool>> Reader::opt_boolean(std::string_view name) const {
  const Value* v = get(name);
  if (v == nullptr) return std::nullopt;
  if (!v->is_bool()) return fail(wrong_type(name, *v, "true or false"));
  return v->as_bool();
}

Result<std::optional<Reader>> Reader::opt_object(std::string_view name) const {
  const Value* v = get(name);
  if (v == nullptr) return std::nullopt;
  if (!v->is_object()) return fail(wrong_type(name, *v, "an object"));
  return Reader(*v, field(name), file_);
}

Result<std::string> Reader::string(std::string_view name) const {
  auto v = TRY(opt_string(name));
  if (!v) return fail(error(name, "is missing"));
  return *std::move(v);
}

Result<std::int64_t> Reader::integer(std::string_view name, std::int64_t low, std::int64_t high) const {
  auto v = TRY(opt_integer(name, low, high));
  if (!v) return fail(error(name, "is missing"));
  return *v;
}

Result<bool> Reader::boolean(std::string_view name) const {
  auto v = TRY(opt_boolean(name));
  if (!v) return fail(error(name, "is missing"));
  return *v;
}

Result<Reader> Reader::object(std::string_view name) const {
  auto v = TRY(opt_object(name));
  if (!v) return fail(error(name, "is missing"));
  return *std::move(v);
}

Result<std::string> Reader::string_or(std::string_view name, std::string fallback) const {
  auto v = TRY(opt_string(name));
  return v ? *std::move(v) : std::move(fallback);
}

Result<std::int64_t> Reader::integer_or(std::string_view name, std::int64_t fallback, std::int64_t low,
                                        std::int64_t high) const {
  return TRY(opt_integer(name, low, high)).value_or(fallback);
}

Result<bool> Reader::boolean_or(std::string_view name, bool fallback) const {
  return TRY(opt_boolean(name)).value_or(fallback);
}

Result<std::vector<std::string>> Reader::strings(std::string_view name) const {
  std::vector<std::string> out;
  const Value* v = get(name);
  if (v == nullptr) return out;
  if (!v->is_array()) return fail(wrong_type(name, *v, "a list of strings"));
  for (const auto& item : v->as_array()) {
    if (!item.is_string())
      return fail(wrong_type(std::string(name) + "[" + std::to_string(out.size()) + "]", item, "a string"));
    out.push_back(item.as_string());
  }
  return out;
}

Result<std::map<std::string, std::string>> Reader::string_map(std::string_view name) const {
  std::map<std::string, std::string> out;
  const Value* v = get(name);
  if (v == nullptr) return out;
  if (!v->is_object()) return fail(wrong_type(name, *v, "an object of strings"));
  for (const auto& [key, item] : v->as_object()) {
    if (!item.is_string()) return fail(wrong_type(std::string(name) + "." + key, item, "a string"));
    out.emplace(key, item.as_string());
  }
  return out;
}

Result<std::vector<Reader>> Reader::objects(std::string_view name) const {
  std::vector<Reader> out;
  const Value* v = get(name);
  if (v == nullptr) return out;
  if (!v->is_array()) return fail(wrong_type(name, *v, "a list"));
  for (const auto& item : v->as_array()) {
    auto path = field(name) + "[" + std::to_string(out.size()) + "]";
    out.push_back(TRY(Reader::of(item, std::move(path), file_)));
  }
  return out;
}

std::vector<const Member*> Reader::unknown() const {
  std::vector<const Member*> out;
  for (const auto& member : value_->as_object())
    if (!seen_.contains(member.first)) out.push_back(&member);
  return out;
}

Result<> Reader::no_unknown() const {
  auto rest = unknown();
  if (rest.empty()) return {};
  return fail(error(rest.front()->first, "is not a known field"));
}

}  // namespace podshim::json
