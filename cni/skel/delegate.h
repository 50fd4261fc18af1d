// Runs a delegated plugin (IPAM) by exec, as section 4 of the CNI specification says: found in CNI_PATH, the same
// environment but for the command, the whole configuration on stdin, stderr passed on. Blocks until it has ended.
#pragma once

#include <string>

#include "cni/skel/request.h"

namespace podshim::cni {

// The first file of that name in CNI_PATH; an error that lists the directories when there is none.
Result<std::string> find_plugin(const Request& request, const std::string& type);
// What it printed. A failure carries the plugin's own code and words.
Result<std::string> run_plugin(const std::string& program, const Request& request, Command command);

// True when the file is our own plugin of that name with the same disk format, so that calling it and calling the
// library that it is made of is the same thing. It says so in an ELF note on its first page.
bool carries_note(const std::string& program, std::string_view note);

}  // namespace podshim::cni
