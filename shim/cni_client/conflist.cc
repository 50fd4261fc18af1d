#include "shim/cni_client/conflist.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "common/sys/file.h"

namespace podshim::cni {
namespace {

constexpr std::size_t kMaxFile = 1UL << 20;

bool is_network_name(const std::string& name) {
  // CNI spec 1.1: starts with a letter or digit, then letters, digits, '_', '.', '-'.
  if (name.empty() || !std::isalnum(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; });
}

Result<PluginConfig> parse_plugin(const json::Reader& in) {
  PluginConfig out;
  out.type = TRY(in.string("type"));
  if (out.type.empty() || out.type.find('/') != std::string::npos || out.type == "." || out.type == "..")
    return fail(in.error("type", "\"" + out.type + "\" is no program name"));
  if (auto caps = TRY(in.opt_object("capabilities")))
    for (const auto& [name, value] : caps->value().as_object())
      if (TRY(caps->boolean(name))) out.capabilities.push_back(name);
  out.config = in.value();
  return out;
}

Result<Version> choose_version(const json::Reader& in) {
  std::string fallback = TRY(in.string_or("cniVersion", ""));
  std::vector<std::string> texts = TRY(in.strings("cniVersions"));
  if (!fallback.empty()) texts.push_back(fallback);
  if (texts.empty()) return fail(in.error("cniVersion", "is missing"));
  Version best;
  for (const auto& text : texts) {
    auto v = Version::parse(text);
    if (!v) return fail(in.error("cniVersion", v.error().detail));
    if (*v >= kOldest && *v <= kNewest) best = std::max(best, *v);
  }
  if (best < kOldest)
    return fail(in.error("cniVersion", texts.back() + " is not between " + kOldest.str() + " and " + kNewest.str()));
  return best;
}

// disableGC may stand there as a boolean or, in lists of old, as a string.
Result<bool> flag(const json::Reader& in, const char* name) {
  const json::Value* v = in.get(name);
  if (v != nullptr && v->is_string() && (v->as_string() == "true" || v->as_string() == "false"))
    return v->as_string() == "true";
  return in.boolean_or(name, false);
}

// In containerd's words, which a kubelet's user knows.
std::unexpected<Error> none_in(const std::string& dir, const char* why) {
  return fail(Error::of(ErrorKind::not_found, "find CNI configuration", dir,
                        std::string("cni plugin not initialized: ") + why));
}

bool is_config_name(const std::string& name) {
  return name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json");
}

}  // namespace

Result<Version> Version::parse(std::string_view text) {
  Version v;
  int* parts[] = {&v.major, &v.minor, &v.patch};
  const char *at = text.data(), *end = text.data() + text.size();
  for (int i = 0; i < 3; i++) {
    auto [next, err] = std::from_chars(at, end, *parts[i]);
    bool dot = next != end && *next == '.';
    if (err != std::errc{} || *parts[i] < 0 || (i < 2 && !dot) || (i == 2 && next != end))
      return fail(Error::invalid("cniVersion", "\"" + std::string(text) + "\" is no version like 1.1.0"));
    at = next + 1;
  }
  return v;
}

std::string Version::str() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

Result<NetworkList> parse_network(std::string_view text, const std::string& source) {
  json::Value value = TRY_IN(json::parse(text), "read CNI configuration " + source);
  auto in = TRY(json::Reader::of(value, "", source));
  NetworkList out;
  out.source = source;
  out.text = text;
  out.name = TRY(in.string("name"));
  if (!is_network_name(out.name)) return fail(in.error("name", "\"" + out.name + "\" is no network name"));
  out.version = TRY(choose_version(in));
  out.disable_check = TRY(flag(in, "disableCheck"));
  out.disable_gc = TRY(flag(in, "disableGC"));
  if (!in.has("plugins") && in.has("type")) {
    out.plugins.push_back(TRY(parse_plugin(in)));
    return out;
  }
  for (const auto& plugin : TRY(in.objects("plugins"))) out.plugins.push_back(TRY(parse_plugin(plugin)));
  if (out.plugins.empty()) return fail(in.error("plugins", "is empty: no plugin would be run"));
  return out;
}

Result<NetworkList> load_network(const std::string& dir) {
  auto names = sys::list_dir(dir);
  if (!names && !names.error().is(ENOENT)) return fail(std::move(names).error());
  if (!names) return none_in(dir, "no such directory");
  for (const auto& name : *names) {
    if (!is_config_name(name)) continue;
    std::string path = dir + "/" + name;
    auto list = parse_network(TRY(sys::read_file(path, kMaxFile)), path);
    if (!list) list.error().kind = ErrorKind::unavailable;  // the node's mistake, not that of who wants a Pod
    return list;
  }
  return none_in(dir, "no *.conflist, *.conf or *.json in it");
}

std::string fingerprint(const std::string& dir) {
  auto stamp = [](const std::string& path) -> std::string {
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0) return {};
    return std::to_string(st.st_ino) + "." + std::to_string(st.st_size) + "." + std::to_string(st.st_mtim.tv_sec) +
           "." + std::to_string(st.st_mtim.tv_nsec) + "." + std::to_string(st.st_ctim.tv_nsec);
  };
  auto names = sys::list_dir(dir);
  if (!names) return {};
  std::string out = stamp(dir);
  for (const auto& name : *names)
    if (is_config_name(name)) return out + "/" + name + "." + stamp(dir + "/" + name);
  return out;
}

}  // namespace podshim::cni
