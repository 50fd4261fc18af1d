// `podshim image pull`: a bar for each layer while the daemon pulls, on a terminal; else a line when a layer is done.
// Progress goes to stderr, so that stdout is the result alone.
#pragma once

#include <string>

#include "common/result.h"
#include "shim/cri/client.h"
#include "shim/options.h"

namespace podshim {

Result<cri::ImageLine> pull_with_progress(cri::AdminClient& client, const Options& options);

std::string layer_bar(const cri::LayerLine& layer);  // one line of at most 79 columns, without its end

}  // namespace podshim
