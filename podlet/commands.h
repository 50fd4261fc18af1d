// The verbs as the running podlet performs them. handle() is called on a worker's thread; what reads or changes the
// Node is posted to its loop and waited for; exec and waiting for a deletion block here.
#pragma once

#include "podlet/view.h"

namespace podshim::podlet {

class Commands {
 public:
  explicit Commands(Node& node) : node_(node) {}
  json::Value handle(const json::Value& request);

 private:
  json::Value on_loop(std::function<json::Value()> work);
  json::Value get(const json::Reader& r);
  json::Value describe(const json::Reader& r);
  json::Value apply(const json::Reader& r);
  json::Value begin_delete(const ObjectKey& key, std::optional<std::chrono::seconds> grace);
  json::Value delete_named(const json::Reader& r);
  json::Value delete_text(const json::Reader& r);
  json::Value delete_all(const json::Reader& r);
  json::Value logs(const json::Reader& r);
  json::Value exec(const json::Reader& r);
  json::Value status();
  bool wait_gone(const std::vector<std::string>& uids, std::chrono::seconds limit);
  Node& node_;
};

json::Value answer_ok(std::string output);
json::Value answer_error(const std::string& why, int code = 1, std::string output = {});

}  // namespace podshim::podlet
