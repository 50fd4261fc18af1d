// The commands that answer and end. Each prints to stdout and returns the program's exit code. One thread.
#pragma once

#include "common/config.h"
#include "common/log.h"
#include "netproxy/layout.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

// What options and configuration come to.
struct Setup {
  std::string source;
  NodeFacts node;
  LayoutFacts layout;
  Cidr service_cidr;
  log::Level level = log::Level::info;
  Config config;  // as it was read: DNS takes its part
};

Result<int> print_doctor(const Setup& setup, bool json);
// The table that the source asks for, as text; the kernel is not spoken to.
int print_table(Tracker& tracker, const LayoutFacts& layout);
// explain.h. An answer without a Service is 1; a bad question is an error of kind invalid_argument.
Result<int> print_explanation(const Setup& setup, const std::string& question, const std::string& status_file);
// Takes the table away.
Result<> cleanup();

}  // namespace podshim::netproxy
