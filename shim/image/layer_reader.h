// LayerReader: the entries of a layer, one after the other, from a compressed or plain tar; the diff id comes at the
// end. Hostile input gives an error, never a path out of the layer. One thread; needs nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "shim/image/archive.h"
#include "shim/image/layer_entry.h"

namespace podshim::image {

class LayerReader {
 public:
  static Result<LayerReader> open(std::unique_ptr<ByteSource> blob, std::string subject, std::uint64_t limit);
  static Result<LayerReader> open_bytes(std::string_view bytes, std::string subject, std::uint64_t limit);

  Result<std::optional<LayerEntry>> next();                 // nullopt at the end
  Result<TarStream::Block> data() { return tar_->data(); }  // of the last regular entry
  Result<Digest> finish() { return inflate_->finish(); }    // reads the rest
  std::uint64_t inflated_bytes() const { return inflate_->bytes(); }

 private:
  static Result<LayerReader> of(std::unique_ptr<Inflate> inflate);

  std::unique_ptr<Utf8Thread> locale_;
  std::unique_ptr<Inflate> inflate_;
  std::unique_ptr<TarStream> tar_;
};

}  // namespace podshim::image
