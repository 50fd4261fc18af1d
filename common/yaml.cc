#include "common/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <sstream>

namespace podshim::yaml {
namespace {

constexpr int kMaxNodes = 1'000'000;
constexpr int kMaxDepth = 200;

json::Value integer_or_string(const std::string& text) {
  std::string_view digits = text;
  bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x")) base = 16;
  if (digits.starts_with("0o")) base = 8;
  if (base != 10) digits.remove_prefix(2);
  std::int64_t n = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n, base);
  if (ec == std::errc{} && end == digits.data() + digits.size() && !digits.empty() && n >= 0) return negative ? -n : n;
  return text;
}

json::Value plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  char first = text[text[0] == '-' || text[0] == '+' ? 1 : 0];
  if ((first < '0' || first > '9') && first != '.') return text;
  auto value = integer_or_string(text);
  if (value.is_integer()) return value;
  double d = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (ec == std::errc{} && end == text.data() + text.size() && std::isfinite(d)) return d;
  return text;
}

class Converter {
 public:
  explicit Converter(const std::string& file) : file_(file) {}

  Result<json::Value> convert(const YAML::Node& node, int depth) {
    int line = node.Mark().line + 1;
    if (++nodes_ > kMaxNodes || depth > kMaxDepth)
      return fail(at(line, "the document is too large or nested too deeply"));
    json::Value out;
    if (node.IsScalar()) {
      out = node.Tag() == "!" ? json::Value(node.Scalar()) : plain_scalar(node.Scalar());
    } else if (node.IsSequence()) {
      out = json::Value::array();
      for (const auto& item : node) out.push(TRY(convert(item, depth + 1)));
    } else if (node.IsMap()) {
      out = json::Value::object();
      std::vector<YAML::Node> merged;
      for (const auto& pair : node) {
        if (!pair.first.IsScalar()) return fail(at(line, "a key that is not a plain word"));
        const auto& key = pair.first.Scalar();
        if (key == "<<" && pair.first.Tag() != "!") {
          merged.push_back(pair.second);
          continue;
        }
        if (out.find(key) != nullptr) return fail(at(pair.first.Mark().line + 1, "duplicate key \"" + key + "\""));
        auto value = TRY(convert(pair.second, depth + 1));
        value.line = pair.first.Mark().line + 1;
        out.as_object().emplace_back(key, std::move(value));
      }
      for (const auto& from : merged) TRY(merge(from, depth, out));
    }
    out.line = line;
    return out;
  }

 private:
  // YAML 1.1's merge key: a map, or a list of maps of which an earlier one wins; what the map says itself wins over
  // all.
  Result<> merge(const YAML::Node& from, int depth, json::Value& out) {
    if (from.IsSequence()) {
      for (const auto& one : from) {
        if (!one.IsMap()) return fail(at(one.Mark().line + 1, "<<: is neither a map nor a list of maps"));
        TRY(merge(one, depth + 1, out));
      }
      return {};
    }
    if (!from.IsMap()) return fail(at(from.Mark().line + 1, "<<: is neither a map nor a list of maps"));
    auto value = TRY(convert(from, depth + 1));
    for (auto& [key, member] : value.as_object())
      if (out.find(key) == nullptr) out.as_object().emplace_back(key, std::move(member));
    return {};
  }
  Error at(int line, std::string why) const {
    return Error::invalid(file_ + ":" + std::to_string(line), std::move(why));
  }
  const std::string& file_;
  int nodes_ = 0;
};

// yaml-cpp takes a token that no document can begin with (",") for an empty document and does not go past it: a stream
// without end. Two documents at one place are that.
class Progress : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos == last_) throw YAML::ParserException(mark, "neither a document nor its end");
    last_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int last_ = -1;
};

void check_progress(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  for (Progress progress; parser.HandleNextDocument(progress);) {
  }
}

void emit(YAML::Emitter& out, const json::Value& v) {
  if (v.is_array()) {
    if (v.as_array().empty()) out << YAML::Flow;  // [] beside its key
    out << YAML::BeginSeq;
    for (const auto& item : v.as_array()) emit(out, item);
    out << YAML::EndSeq;
  } else if (v.is_object()) {
    if (v.as_object().empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, item] : v.as_object()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (v.is_string()) {
    const auto& text = v.as_string();
    // A literal block ends with exactly one newline and cannot begin with a blank.
    bool block = text.ends_with('\n') && !text.ends_with("\n\n") && text.front() != ' ' && text.front() != '\n';
    bool multiline = text.find('\n') != std::string::npos;
    if (multiline && block) {
      out << YAML::Literal << text;
    } else if (multiline || !plain_scalar(text).is_string()) {
      out << YAML::DoubleQuoted << text;
    } else {
      out << text;
    }
  } else if (v.is_null()) {
    out << YAML::Null;
  } else {
    out << json::dump(v);
  }
}

}  // namespace

Result<std::vector<json::Value>> parse_all(std::string_view text, const std::string& file) {
  std::vector<json::Value> out;
  try {
    const std::string stream(text);
    check_progress(stream);
    for (const auto& document : YAML::LoadAll(stream)) {
      if (!document.IsDefined() || document.IsNull()) continue;
      out.push_back(TRY(Converter(file).convert(document, 0)));
    }
  } catch (const YAML::Exception& e) {
    return fail(Error::invalid(file + ":" + std::to_string(e.mark.line + 1), e.msg));
  }
  return out;
}

std::string dump(const json::Value& value) {
  YAML::Emitter out;
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

}  // namespace podshim::yaml
