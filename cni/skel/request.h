// One call of a plugin: the CNI_* environment and the configuration on stdin, decoded once. What holds for every plugin
// is checked here (names, version, which verb needs what); the rest of the configuration is the plugin's own
// (netconf.h). decode() is pure. CNI specification 1.1, section 2.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cni/skel/failure.h"
#include "cni/skel/result.h"
#include "cni/skel/version.h"
#include "common/json.h"

namespace podshim::cni {

enum class Command { add, del, check, status, gc, version };
std::string_view name_of(Command command);

struct Attachment {
  std::string container_id;
  std::string ifname;
  auto operator<=>(const Attachment&) const = default;
  std::string str() const { return container_id + "/" + ifname; }
};

struct Request {
  Command command = Command::version;
  Version version = kNewestVersion;
  std::string network;  // the configuration's "name"
  Attachment attachment;
  std::string netns;  // "" = none (allowed for DEL)
  std::vector<std::string> path;
  std::map<std::string, std::string> args;  // CNI_ARGS, keys in lower case
  std::string text;                         // the configuration as it came, for delegated plugins
  json::Value config;

  // Set under podshim: the network namespace is about to go by its last reference, so DEL need not wait for the link.
  bool drops_netns() const;
  Result<std::optional<AddResult>> prev_result() const;
  Result<std::vector<Attachment>> valid_attachments() const;  // GC
};

using Getenv = std::function<const char*(const char*)>;
std::expected<Request, Failure> decode(const Getenv& getenv, std::string stdin_text);

}  // namespace podshim::cni
