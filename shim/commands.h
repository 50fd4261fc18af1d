// The subcommands: each asks a running daemon (or prints a file) and writes to stdout. Gives the exit code.
#pragma once

#include "shim/options.h"

namespace podshim {

int run_command(const Options& options);

}  // namespace podshim
