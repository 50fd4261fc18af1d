#include "shim/cni_client/network.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/sys/file.h"
#include "shim/cni_client/runtime_config.h"

namespace podshim::cni {
namespace {

std::string brief(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text.size() <= 300 ? text : text.substr(0, 300) + "...";
}

// The plugin's error object (spec, "Error") as one of ours: code, msg, details survive.
std::optional<Error> plugin_error(const PluginConfig& plugin, const std::string& out) {
  auto value = json::parse(out);
  if (!value || !value->is_object()) return std::nullopt;
  const json::Value* code = value->find("code");
  const json::Value* message = value->find("msg");
  if (code == nullptr || !code->is_integer() || message == nullptr || !message->is_string()) return std::nullopt;
  std::string text = message->as_string();
  if (const json::Value* details = value->find("details"); details != nullptr && details->is_string())
    if (!details->as_string().empty()) text += "; " + details->as_string();
  return Error::of(ErrorKind::unavailable, "run plugin", plugin.type,
                   brief(text) + " (plugin code " + std::to_string(code->as_integer()) + ")");
}

std::string ended(int wait_status) {
  if (WIFSIGNALED(wait_status)) return "ended by signal " + std::to_string(WTERMSIG(wait_status));
  return "exit code " + std::to_string(WEXITSTATUS(wait_status));
}

Result<json::Value> judge(const PluginConfig& plugin, const std::string& verb, const PluginAnswer& answer) {
  if (answer.wait_status != 0) {
    if (auto told = plugin_error(plugin, answer.out)) return fail(*std::move(told));
    std::string said = brief(answer.err.empty() ? answer.out : answer.err);
    return fail(Error::of(ErrorKind::unavailable, "run plugin", plugin.type,
                          ended(answer.wait_status) + (said.empty() ? ", no message" : ": " + said)));
  }
  if (verb != "ADD") return json::Value();
  auto value = json::parse(answer.out);
  if (value && value->is_object()) return *std::move(value);
  return fail(Error::of(ErrorKind::unavailable, "run plugin", plugin.type,
                        answer.out.empty() ? "it ended well but printed no result"
                                           : "what it printed is no CNI result: " + brief(answer.out)));
}

json::Value valid_list(const std::vector<std::pair<std::string, std::string>>& valid) {
  json::Value out = json::Value::array();
  for (const auto& [id, ifname] : valid) out.push(json::Value::object().set("containerID", id).set("ifname", ifname));
  return out;
}

// A script may hand VERSION through to a plugin that waits, and not wait itself.
bool is_elf(const std::string& program) {
  auto fd = sys::open(program, O_RDONLY);
  char magic[4] = {};
  return fd && ::pread(fd->get(), magic, sizeof magic, 0) == sizeof magic && std::memcmp(magic, "\177ELF", 4) == 0;
}

bool has_result_in_del(const NetworkList& list) { return list.version >= Version{0, 4, 0}; }

}  // namespace

Result<std::string> Network::find_plugin(const std::string& type) const {
  std::string tried;
  for (const auto& dir : bin_dirs_) {
    std::string path = dir + "/" + type;
    if (::access(path.c_str(), X_OK) == 0) return path;
    tried += (tried.empty() ? "" : ", ") + dir;
  }
  Error e = Error::of(ErrorKind::unavailable, "find plugin", type, "no such program in " + tried);
  e.code = ENOENT;
  return fail(std::move(e));
}

// What a plugin's turn is about, beside the verb.
struct Network::Turn {
  const Attachment* attachment = nullptr;
  const json::Value* previous = nullptr;                                    // ADD's result so far, or the cached one
  const std::vector<std::pair<std::string, std::string>>* valid = nullptr;  // GC
  const PluginConfig* after = nullptr;                                      // whose turn is the next
  std::unique_ptr<WaitingPlugin>* waiting = nullptr;                        // in: may have started; out: `after` has
};

Result<PluginCall> Network::call(const PluginConfig& plugin, const std::string& verb,
                                 const Attachment* attachment) const {
  PluginCall out{.program = TRY(find_plugin(plugin.type)), .timeout = timeout_};
  std::string path;
  for (const auto& dir : bin_dirs_) path += (path.empty() ? "" : ":") + dir;
  out.environment = {"CNI_COMMAND=" + verb, "CNI_PATH=" + path};
  if (attachment != nullptr) {
    out.environment.push_back("CNI_CONTAINERID=" + attachment->container_id);
    out.environment.push_back("CNI_IFNAME=" + attachment->ifname);
    out.environment.push_back("CNI_NETNS=" + attachment->netns);
    out.environment.push_back("CNI_ARGS=" + TRY(cni_args(*attachment)));
  }
  return out;
}

// Null when it must not start before its turn; one that cannot start fails at its turn, with all there is to say.
std::unique_ptr<WaitingPlugin> Network::start(const PluginConfig& plugin, const std::string& verb,
                                              const Attachment* attachment) {
  auto next = call(plugin, verb, attachment);
  if (!next || !waits(next->program)) return nullptr;
  return runner_.start(*next).value_or(nullptr);
}

Result<json::Value> Network::run(const NetworkList& list, const PluginConfig& plugin, const std::string& verb,
                                 Turn turn) {
  json::Value config = plugin.config;
  config.set("name", list.name).set("cniVersion", list.version.str());
  if (turn.attachment != nullptr) {
    json::Value runtime = runtime_config(plugin.capabilities, *turn.attachment);
    if (!runtime.as_object().empty()) config.set("runtimeConfig", std::move(runtime));
  }
  if (turn.previous != nullptr && !turn.previous->is_null()) config.set("prevResult", *turn.previous);
  if (turn.valid != nullptr) config.set("cni.dev/valid-attachments", valid_list(*turn.valid));
  std::unique_ptr<WaitingPlugin> running;
  if (turn.waiting != nullptr)
    running = *turn.waiting ? std::move(*turn.waiting) : start(plugin, verb, turn.attachment);
  if (running == nullptr) {
    auto now = TRY(call(plugin, verb, turn.attachment));
    now.input = json::dump(config);
    if (turn.after != nullptr && turn.waiting != nullptr) *turn.waiting = start(*turn.after, verb, turn.attachment);
    return judge(plugin, verb, TRY(runner_.run(now)));
  }
  running->give(json::dump(config));
  if (turn.after != nullptr) *turn.waiting = start(*turn.after, verb, turn.attachment);
  return judge(plugin, verb, TRY(running->answer(timeout_)));
}

std::unique_ptr<WaitingPlugin> Network::start_add(const NetworkList& list, const Attachment& attachment) {
  return start(list.plugins.front(), "ADD", &attachment);
}

Result<json::Value> Network::add(const NetworkList& list, const Attachment& attachment,
                                 std::unique_ptr<WaitingPlugin> first, const TurnObserver& told) {
  json::Value result;
  const auto& plugins = list.plugins;
  for (std::size_t i = 0; i < plugins.size(); i++) {
    Turn turn{.attachment = &attachment, .previous = &result, .waiting = &first};
    if (i + 1 < plugins.size()) turn.after = &plugins[i + 1];
    const auto began = std::chrono::steady_clock::now();
    result = TRY_IN(run(list, plugins[i], "ADD", std::move(turn)), "ADD network " + list.name);
    if (told) told(plugins[i].type, began, std::chrono::steady_clock::now());
  }
  TRY_IN(decode_answer(result), "ADD network " + list.name);
  return result;
}

Result<> Network::del(const NetworkList& list, const Attachment& attachment, const json::Value& cached) {
  Result<> first;
  std::unique_ptr<WaitingPlugin> waiting;
  for (auto plugin = list.plugins.rbegin(); plugin != list.plugins.rend(); ++plugin) {
    Turn turn{.attachment = &attachment, .previous = has_result_in_del(list) ? &cached : nullptr, .waiting = &waiting};
    if (plugin + 1 != list.plugins.rend()) turn.after = &*(plugin + 1);
    auto done = run(list, *plugin, "DEL", turn);
    if (!done && first) first = fail(std::move(done).error().within("DEL network " + list.name));
  }
  return first;
}

Result<> Network::check(const NetworkList& list, const Attachment& attachment, const json::Value& cached) {
  if (list.version < Version{0, 4, 0} || list.disable_check) return {};
  for (const auto& plugin : list.plugins)
    TRY_IN(run(list, plugin, "CHECK", {.attachment = &attachment, .previous = &cached}), "CHECK network " + list.name);
  return {};
}

Result<> Network::status(const NetworkList& list) {
  for (const auto& plugin : list.plugins) {
    ask_version(TRY(find_plugin(plugin.type)));
    if (list.version >= Version{1, 1, 0}) TRY_IN(run(list, plugin, "STATUS", {}), "STATUS network " + list.name);
  }
  return {};
}

Result<> Network::gc(const NetworkList& list, const std::vector<std::pair<std::string, std::string>>& valid) {
  if (list.version < Version{1, 1, 0} || list.disable_gc) return {};
  Result<> first;
  for (const auto& plugin : list.plugins) {
    auto done = run(list, plugin, "GC", {.valid = &valid});
    if (!done && first) first = fail(std::move(done).error().within("GC network " + list.name));
  }
  return first;
}

Result<Network::Stamp> Network::stamp(const std::string& program) {
  struct stat s{};
  if (::stat(program.c_str(), &s) != 0) return fail(Error::sys("stat", program));
  return Stamp{s.st_dev, s.st_ino, s.st_size, s.st_ctim.tv_sec * 1'000'000'000 + s.st_ctim.tv_nsec};
}

bool Network::waits(const std::string& program) const {
  auto now = stamp(program);
  std::lock_guard lock(mutex_);
  auto known = waits_.find(program);
  return now && known != waits_.end() && known->second.first == *now && known->second.second;
}

void Network::ask_version(const std::string& program) {
  auto now = stamp(program);
  if (!now) return;
  {
    std::lock_guard lock(mutex_);
    if (auto known = waits_.find(program); known != waits_.end() && known->second.first == *now) return;
  }
  auto answer = runner_.run({.program = program,
                             .environment = {"CNI_COMMAND=VERSION"},
                             .input = R"({"cniVersion":"1.0.0"})",
                             .timeout = timeout_});
  if (!answer || answer->wait_status != 0) return;  // asked again at the next look
  auto said = json::parse(answer->out);
  if (!said || !said->is_object()) return;
  const auto* value = said->find("podshim.dev/waits-for-config");
  const bool waits = value != nullptr && value->is_bool() && value->as_bool() && is_elf(program);
  std::lock_guard lock(mutex_);
  waits_[program] = {*now, waits};
}

}  // namespace podshim::cni
