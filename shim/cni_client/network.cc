#include "shim/cni_client/network.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

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

Result<json::Value> Network::run(const NetworkList& list, const PluginConfig& plugin, const std::string& verb,
                                 const Attachment* attachment, const json::Value& previous,
                                 const std::vector<std::pair<std::string, std::string>>* valid) {
  PluginCall call{.program = TRY(find_plugin(plugin.type)), .timeout = timeout_};
  std::string path;
  for (const auto& dir : bin_dirs_) path += (path.empty() ? "" : ":") + dir;
  call.environment = {"CNI_COMMAND=" + verb, "CNI_PATH=" + path};
  json::Value config = plugin.config;
  config.set("name", list.name).set("cniVersion", list.version.str());
  if (attachment != nullptr) {
    call.environment.push_back("CNI_CONTAINERID=" + attachment->container_id);
    call.environment.push_back("CNI_IFNAME=" + attachment->ifname);
    call.environment.push_back("CNI_NETNS=" + attachment->netns);
    call.environment.push_back("CNI_ARGS=" + TRY(cni_args(*attachment)));
    json::Value runtime = runtime_config(plugin.capabilities, *attachment);
    if (!runtime.as_object().empty()) config.set("runtimeConfig", std::move(runtime));
  }
  if (!previous.is_null()) config.set("prevResult", previous);
  if (valid != nullptr) config.set("cni.dev/valid-attachments", valid_list(*valid));
  call.input = json::dump(config);
  auto answer = TRY(runner_.run(call));
  return judge(plugin, verb, answer);
}

Result<json::Value> Network::add(const NetworkList& list, const Attachment& attachment) {
  json::Value result;
  for (const auto& plugin : list.plugins)
    result = TRY_IN(run(list, plugin, "ADD", &attachment, result), "ADD network " + list.name);
  TRY_IN(decode_answer(result), "ADD network " + list.name);
  return result;
}

Result<> Network::del(const NetworkList& list, const Attachment& attachment, const json::Value& cached) {
  Result<> first;
  const json::Value none;
  for (auto plugin = list.plugins.rbegin(); plugin != list.plugins.rend(); ++plugin) {
    auto done = run(list, *plugin, "DEL", &attachment, has_result_in_del(list) ? cached : none);
    if (!done && first) first = fail(std::move(done).error().within("DEL network " + list.name));
  }
  return first;
}

Result<> Network::check(const NetworkList& list, const Attachment& attachment, const json::Value& cached) {
  if (list.version < Version{0, 4, 0} || list.disable_check) return {};
  for (const auto& plugin : list.plugins)
    TRY_IN(run(list, plugin, "CHECK", &attachment, cached), "CHECK network " + list.name);
  return {};
}

Result<> Network::status(const NetworkList& list) {
  for (const auto& plugin : list.plugins) {
    TRY(find_plugin(plugin.type));
    if (list.version >= Version{1, 1, 0})
      TRY_IN(run(list, plugin, "STATUS", nullptr, json::Value()), "STATUS network " + list.name);
  }
  return {};
}

Result<> Network::gc(const NetworkList& list, const std::vector<std::pair<std::string, std::string>>& valid) {
  if (list.version < Version{1, 1, 0} || list.disable_gc) return {};
  Result<> first;
  for (const auto& plugin : list.plugins) {
    auto done = run(list, plugin, "GC", nullptr, json::Value(), &valid);
    if (!done && first) first = fail(std::move(done).error().within("GC network " + list.name));
  }
  return first;
}

}  // namespace podshim::cni
