// Doctor: looks at what podshim needs of a host and says how to repair it. examine() is pure; gather_doctor_facts()
// reads the host as the calling process sees it (its network namespace) and changes nothing, blocks for a few files.
// Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "shim/cri/finding.h"
#include "shim/plan/facts.h"

namespace podshim {

struct DoctorFacts {
  HostFacts host;
  bool root = false;
  bool overlay = false;                   // in /proc/filesystems
  std::optional<std::string> ip_forward;  // texts of the sysctls; nothing = the file is not there
  std::optional<std::string> bridge_nf_call;
  std::vector<std::string> deaf_uplinks;  // of default routes, forwarding off while ip_forward is on
  std::string nf_tables_error;            // "" = the kernel answers
  bool default_route = false;
  std::string network_error;  // "" = a CNI configuration is in force
  std::string network_name, network_source;
  std::vector<std::string> missing_plugins;  // types without a program in cni-bin-dirs
};

DoctorFacts gather_doctor_facts(const Config& config, const HostFacts& host);
std::vector<Finding> examine(const Config& config, const DoctorFacts& facts);

}  // namespace podshim
