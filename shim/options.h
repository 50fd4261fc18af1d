// Options: the command line of podshim together with its config file. Flag > file > default; each setting knows which
// it was. CLI11 is included by options.cc alone. parse_options() reads the config file and, for the daemon,
// registries.yaml, and nothing else; call it from main.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "common/config.h"
#include "shim/image/pull_request.h"

namespace podshim {

enum class Verb { serve, image_import, image_list, image_pull, image_remove, status, doctor, cni_config };

struct Setting {
  std::string name, value;
  const char* origin;  // "flag", "file" or "default"
};

struct Options {
  Verb verb = Verb::serve;
  Config config;
  std::string config_file;                              // "" = none was read
  std::vector<Setting> settings;                        // of the daemon, as in force
  std::vector<std::string> operands;                    // of image import (absolute paths), image pull and image rm
  std::string timeline;                                 // of status: the Pod
  std::string creds;                                    // of image pull: USER:PASSWORD
  std::shared_ptr<const image::Registries> registries;  // of the daemon
  bool json = false;                                    // --output json
};

// The program ends before it began: help and version (0), bad usage or config (2).
struct EarlyExit {
  int code = 0;
  std::string out, err;
};

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

std::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments);

}  // namespace podshim
