// Debian's docker-registry in a node, over plain HTTP on 127.0.0.1:5000, and the registries.yaml that says so.
#pragma once

#include <string>

#include "tests/support/node.h"

namespace podshim::test {

inline constexpr const char* kRegistry = "127.0.0.1:5000";

// Before the daemon starts; "" or why not. Ends with the node.
std::string serve_registry(Node& node);
// An archive of ours, podshim.dev/<name>:1, as <kRegistry>/<name>:1; "" or why not.
std::string push_archive(Node& node, const std::string& name);

grpc::Status pull_image(Node& node, const std::string& name);
grpc::Status remove_image(Node& node, const std::string& name);

}  // namespace podshim::test
