#include "common/kube/config_map.h"

#include <algorithm>

namespace podshim::kube {
namespace {

bool is_key(std::string_view key) {
  return !key.empty() && key.size() <= 253 && key != "." && key != ".." &&
         std::ranges::all_of(key, [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
                  c == '.';
         });
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

Result<> read(const json::Reader& object, const char* field, bool base64, ConfigMap& out) {
  for (auto& [key, text] : TRY(object.string_map(field))) {
    if (!is_key(key)) return fail(object.error(field, "\"" + key + "\" is not a key: letters, digits, - _ ."));
    if (!base64) {
      out.data[key] = text;
      continue;
    }
    auto bytes = decode_base64(text);
    if (!bytes) return fail(object.error(std::string(field) + "." + key, bytes.error().detail));
    out.data[key] = *std::move(bytes);
  }
  return {};
}

}  // namespace

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0, padding = 0;
  for (char c : text) {
    if (c == '\n' || c == '\r') continue;
    int value = c == '=' ? 0 : sextet(c);
    if (value < 0 || (padding > 0 && c != '='))
      return fail(Error::invalid("base64", "holds a character that is not base64"));
    if (c == '=') padding++;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count % 4 == 0) {
      for (int shift : {16, 8, 0}) out += static_cast<char>(bits >> shift & 0xff);
      bits = 0;
    }
  }
  if (count % 4 != 0 || padding > 2) return fail(Error::invalid("base64", "ends too early"));
  out.resize(out.size() - static_cast<std::size_t>(padding));
  return out;
}

Result<ConfigMap> decode_config_map(const json::Reader& object, Unknowns& unknowns) {
  ConfigMap out;
  auto type = TRY(decode_type(object));
  out.secret = type.kind == "Secret";
  TRY(expect_type(object, "v1", out.secret ? "Secret" : "ConfigMap"));
  out.meta = TRY(decode_meta(object, unknowns));
  TRY(read(object, "data", out.secret, out));
  TRY(read(object, out.secret ? "stringData" : "binaryData", !out.secret, out));
  object.ignore("immutable");
  if (out.secret) object.ignore("type");
  note_unknown(object, unknowns);
  return out;
}

}  // namespace podshim::kube
