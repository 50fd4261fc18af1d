// Unpacks one layer into an empty directory, in overlayfs' form, while its diff id is checked. Semantics of the
// entries: layer_root.h. On failure the directory is half made: the caller removes it. Runs on the caller's thread.
#pragma once

#include <functional>
#include <string>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/byte_source.h"
#include "shim/image/digest.h"
#include "shim/image/layer_root.h"

namespace podshim::image {

// Bounds for layers that were made to fill the disk. Inflated bytes count, holes of sparse files do not.
struct UnpackLimits {
  std::uint64_t bytes = 128ULL << 30;
  std::uint64_t entries = 4'000'000;
};

// Both are asked for after the last entry, so that layers can be unpacked side by side.
struct LowerLayers {
  std::function<Result<Fd>()> top;   // the directory of the layer right below; empty Fd for the bottom layer
  std::function<Result<Fd>()> view;  // the merged view of all below, asked for only when this one leans on it
};

struct UnpackedLayer {
  LayerTotals totals;
  std::uint64_t inflated = 0;
  bool opaque_root = false;
};

Result<UnpackedLayer> unpack_layer(std::unique_ptr<ByteSource> blob, const std::string& subject, Fd root,
                                   const LowerLayers& lower, const Digest& diff_id, const UnpackLimits& limits);

}  // namespace podshim::image
