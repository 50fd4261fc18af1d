// What a plugin prints when it fails: a code of the specification (or ours from 100 on), a short message, details.
// The one table from Error to code is code_of(). Pure; any thread.
#pragma once

#include <string>

#include "cni/skel/version.h"
#include "common/error.h"
#include "common/json.h"

namespace podshim::cni {

enum class Code {
  incompatible_version = 1,
  unsupported_field = 2,
  invalid_environment = 4,
  io_failure = 5,
  decoding_failure = 6,
  invalid_config = 7,
  invalid_netns = 8,
  try_again = 11,
  not_available = 50,
  // Ours.
  operation_failed = 100,
  no_free_address = 101,
  already_in_use = 102,
  check_failed = 103,
};

struct Failure {
  Code code = Code::operation_failed;
  std::string message;
  std::string details;
};

Code code_of(const Error& error);
Failure failure_of(const Error& error);
json::Value encode(const Failure& failure, std::string_view version);

}  // namespace podshim::cni
