// The verbs on the asking side: request, answer, printing, exit code. Also `logs -f`, which reads the log file itself.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"

namespace podshim::podlet {

// Prints output and errors; the exit code of the answer.
int ask_and_print(const std::string& state, const json::Value& request);

struct FileRequest {
  std::string path;        // a file, a directory of manifests, or - for standard input
  std::string name_space;  // of the objects; "" = as they say
  bool remove = false;
  bool wait = true;
  int grace = -1;  // seconds; -1 = what each Pod says
};
int send_manifests(const std::string& state, const FileRequest& request);

struct LogRequest {
  std::string pod, container, name_space;
  bool follow = false, previous = false, timestamps = false;
  long tail = -1;
};
int print_logs(const std::string& state, const LogRequest& request);

struct WaitRequest {
  std::string kind, name, name_space, condition;  // "ready", "delete"
  int seconds = 30;
};
int wait_for(const std::string& state, const WaitRequest& request);

// A line of a CRI log ("<time> stdout F <text>") as text; `complete` = the line ends here.
struct LogLine {
  std::string time, text;
  bool to_stderr = false, complete = true;
};
LogLine parse_log_line(std::string_view line);

}  // namespace podshim::podlet
