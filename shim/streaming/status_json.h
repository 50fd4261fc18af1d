// How a session ended, as the client is told on its error stream: a Kubernetes Status object (protocols v4 and v5), or
// plain text, with nothing for success (v1 to v3). Pure.
#pragma once

#include <string>

namespace podshim::streaming {

struct Outcome {
  int exit_code = 0;
  std::string error;  // not empty: there is no exit code, because of this
};

std::string status_json(const Outcome& outcome);
std::string status_text(const Outcome& outcome);

}  // namespace podshim::streaming
