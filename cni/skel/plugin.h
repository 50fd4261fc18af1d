// The frame of every plugin: reads the request, calls the verb, prints the result or the failure as JSON on stdout.
// run() is the whole of main(): 0 on success, 1 on failure. stderr carries log lines only.
#pragma once

#include <functional>

#include "cni/skel/request.h"

namespace podshim::cni {

struct Plugin {
  const char* name;
  std::function<Result<json::Value>(const Request&)> add;  // the result to print
  std::function<Result<>(const Request&)> del;
  std::function<Result<>(const Request&)> check;
  std::function<Result<>(const Request&)> status;
  std::function<Result<>(const Request&)> gc;
};

int run(const Plugin& plugin);

}  // namespace podshim::cni
