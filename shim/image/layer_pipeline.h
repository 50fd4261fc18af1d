// store_layers: makes the layers of one image whole, several at a time: their bytes come, are inflated, hashed and
// unpacked while others do the same; only what a layer takes from those below it waits for them. Then files -> syncfs
// -> markers -> syncfs -> published. A layer that another image waits for is published with those below it as soon as
// they are there, also when it comes late. What is whole already is not opened.
//
// Claims are taken upwards along one chain only, so two calls never wait for each other; who waits for another's layer
// may give up (ErrorKind::cancelled). On failure every layer that
// was not published is taken out of the way. Any thread; threads of its own, gone when it returns.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "shim/image/byte_source.h"
#include "shim/image/layer_dir.h"

namespace podshim::image {

struct LayerSource {
  Digest diff_id;
  std::function<Result<std::unique_ptr<ByteSource>>()> open;  // on a thread of the pipeline
  std::function<Result<>()> verify;                           // after the last byte; empty = nothing to wait for
  std::function<Result<>(Error why)> again;  // after a failure: success = open() has other bytes now; may be empty
  std::function<void()> done;                // it is unpacked, or was whole already; may be empty
};

struct PipelineSettings {
  UnpackLimits limits;
  std::size_t parallel = 3;
  std::function<Result<>()> sync;   // of the file system
  std::function<void()> give_up;    // called once, at the first failure: ends what sources wait for; may be empty
  std::stop_token given_up;         // ends the waiting for layers that others make, and that alone
  std::function<void(bool)> aside;  // LayerDir::ClaimTerms; may be empty
};

Result<> store_layers(LayerDir& dir, const std::vector<LayerSource>& sources, const PipelineSettings& settings);

}  // namespace podshim::image
