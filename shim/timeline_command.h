// `podshim status --timeline POD`: the stages of a Pod's start as a table, or as JSON. Gives the exit code.
#pragma once

#include "shim/options.h"

namespace podshim {

int print_timeline(const Options& options);

}  // namespace podshim
