#include "cni/skel/request.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace podshim::cni {
namespace {

struct Verb {
  Command command;
  std::string_view name;
  bool attachment;  // needs CNI_CONTAINERID and CNI_IFNAME
  bool netns;
};
constexpr std::array<Verb, 6> kVerbs = {{{Command::add, "ADD", true, true},
                                         {Command::del, "DEL", true, false},
                                         {Command::check, "CHECK", true, true},
                                         {Command::status, "STATUS", false, false},
                                         {Command::gc, "GC", false, false},
                                         {Command::version, "VERSION", false, false}}};

constexpr std::size_t kMaxIfName = 15;  // IFNAMSIZ - 1

std::unexpected<Failure> refuse(Code code, std::string message, std::string details = {}) {
  return std::unexpected(Failure{.code = code, .message = std::move(message), .details = std::move(details)});
}

// Of container ids and network names: [a-zA-Z0-9][a-zA-Z0-9_.-]*
bool plain_name(std::string_view s) {
  auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !s.empty() && alnum(s.front()) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool legal_ifname(std::string_view s) {
  return !s.empty() && s.size() <= kMaxIfName && s != "." && s != ".." &&
         std::none_of(s.begin(), s.end(), [](unsigned char c) { return c == '/' || c == ':' || std::isspace(c) != 0; });
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    auto end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::map<std::string, std::string> parse_args(std::string_view text) {
  std::map<std::string, std::string> out;
  for (const auto& pair : split(text, ';')) {
    auto equals = pair.find('=');
    if (equals == std::string::npos) continue;
    std::string key = pair.substr(0, equals);
    std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
    out[key] = pair.substr(equals + 1);
  }
  return out;
}

// Runtimes written in Go spell the members of runtimeConfig as they like ("HostPort"): their decoder folds case.
constexpr std::array<std::string_view, 9> kRuntimeKeys = {"hostPort",   "containerPort", "protocol", "hostIP", "subnet",
                                                          "rangeStart", "rangeEnd",      "gateway",  "mac"};

bool same_but_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

void fold_keys(json::Value& v) {
  if (v.is_array())
    for (auto& item : v.as_array()) fold_keys(item);
  if (!v.is_object()) return;
  for (auto& [key, item] : v.as_object()) {
    for (auto known : kRuntimeKeys)
      if (key != known && same_but_case(key, known) && v.find(known) == nullptr) key = known;
    fold_keys(item);
  }
}

std::expected<void, Failure> read_environment(const Getenv& getenv, Request& out) {
  auto text = [&](const char* name) { return std::string(getenv(name) != nullptr ? getenv(name) : ""); };
  std::string command = text("CNI_COMMAND");
  const auto* verb = std::find_if(kVerbs.begin(), kVerbs.end(), [&](const Verb& v) { return v.name == command; });
  if (verb == kVerbs.end())
    return refuse(Code::invalid_environment, command.empty() ? "CNI_COMMAND is missing" : "CNI_COMMAND is unknown",
                  command);
  out.command = verb->command;
  out.attachment = {.container_id = text("CNI_CONTAINERID"), .ifname = text("CNI_IFNAME")};
  out.netns = text("CNI_NETNS");
  out.path = split(text("CNI_PATH"), ':');
  out.args = parse_args(text("CNI_ARGS"));

  std::string missing;
  auto need = [&](bool needed, const std::string& value, const char* name) {
    if (needed && value.empty()) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(verb->attachment, out.attachment.container_id, "CNI_CONTAINERID");
  need(verb->attachment, out.attachment.ifname, "CNI_IFNAME");
  need(verb->netns, out.netns, "CNI_NETNS");
  if (!missing.empty()) return refuse(Code::invalid_environment, "missing in the environment: " + missing);
  if (!verb->attachment) return {};
  if (!plain_name(out.attachment.container_id))
    return refuse(Code::invalid_environment, "CNI_CONTAINERID has a character that is not allowed",
                  out.attachment.container_id);
  if (!legal_ifname(out.attachment.ifname))
    return refuse(Code::invalid_environment, "CNI_IFNAME is not a legal interface name", out.attachment.ifname);
  return {};
}

std::expected<void, Failure> read_config(Request& out) {
  auto config = json::parse(out.text);
  if (!config) return refuse(Code::decoding_failure, "the configuration is no JSON", config.error().detail);
  out.config = *std::move(config);
  if (out.config.is_object())
    for (auto& [key, value] : out.config.as_object())
      if (key == "runtimeConfig") fold_keys(value);
  auto r = json::Reader::of(out.config);
  if (!r) return refuse(Code::decoding_failure, r.error().text());
  auto version = r->string_or("cniVersion", "0.1.0");  // what the specification says of a missing one
  if (!version) return refuse(Code::decoding_failure, version.error().text());
  if (out.command == Command::version) return {};
  auto known = parse_version(*version);
  if (!known) return refuse(Code::incompatible_version, "cniVersion \"" + *version + "\" is not supported");
  out.version = *known;
  auto name = r->string("name");
  if (!name) return refuse(Code::invalid_config, name.error().text());
  if (!plain_name(*name)) return refuse(Code::invalid_config, "name has a character that is not allowed", *name);
  out.network = *name;
  bool too_old = (out.command == Command::check && !allows_check(*known)) ||
                 ((out.command == Command::gc || out.command == Command::status) && !allows_gc_and_status(*known));
  if (too_old)
    return refuse(Code::incompatible_version,
                  "cniVersion " + *version + " has no " + std::string(name_of(out.command)));
  return {};
}

}  // namespace

std::string_view name_of(Command command) {
  for (const auto& v : kVerbs)
    if (v.command == command) return v.name;
  return "?";
}

bool Request::drops_netns() const {
  auto it = args.find("podshim.dev/drops-netns");
  return it != args.end() && (it->second == "1" || it->second == "true");
}

Result<std::optional<AddResult>> Request::prev_result() const {
  const auto* value = config.find("prevResult");
  if (value == nullptr || value->is_null()) return std::nullopt;
  return TRY(parse_result(*value, "prevResult"));
}

Result<std::vector<Attachment>> Request::valid_attachments() const {
  auto r = TRY(json::Reader::of(config));
  const char* key = "cni.dev/valid-attachments";
  // A GC without the list would free everything: a caller that leaves it out is refused.
  if (!r.has(key)) return fail(r.error(key, "is missing"));
  std::vector<Attachment> out;
  auto items = TRY(r.objects(key));
  for (const auto& item : items)
    out.push_back({.container_id = TRY(item.string("containerID")), .ifname = TRY(item.string("ifname"))});
  return out;
}

std::expected<Request, Failure> decode(const Getenv& getenv, std::string stdin_text) {
  Request out;
  if (auto ok = read_environment(getenv, out); !ok) return std::unexpected(ok.error());
  out.text = std::move(stdin_text);
  // VERSION needs no more than the word; a caller that sends nothing is answered too.
  if (out.command == Command::version && out.text.empty()) out.text = "{}";
  if (auto ok = read_config(out); !ok) return std::unexpected(ok.error());
  return out;
}

}  // namespace podshim::cni
