#include "shim/image/unpack.h"

#include <unistd.h>

#include "common/fault.h"
#include "common/sys/retry.h"
#include "shim/image/layer_reader.h"

namespace podshim::image {
namespace {

Result<> write_at(const Fd& file, std::string_view bytes, std::uint64_t offset, const std::string& subject) {
  while (!bytes.empty()) {
    ssize_t n =
        sys::retry([&] { return ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (n < 0) return fail(Error::sys("write", subject));
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<> unpack_file(LayerReader& reader, LayerRoot& root, const LayerEntry& entry) {
  Fd file = TRY(root.create_file(entry));
  std::uint64_t written = 0, end = 0;
  for (;;) {
    TarStream::Block block = TRY(reader.data());
    if (block.bytes.empty()) break;
    TRY(write_at(file, block.bytes, block.offset, entry.path.text()));
    written += block.bytes.size();
    end = block.offset + block.bytes.size();
  }
  // A sparse file may end in a hole.
  if (end < entry.size && ::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0) {
    return fail(Error::sys("truncate", entry.path.text()));
  }
  return root.close_file(file, entry, written);
}

Result<UnpackedLayer> unpack_entries(LayerReader& reader, LayerRoot& root, const LowerLayers& lower,
                                     const Digest& diff_id, const UnpackLimits& limits) {
  std::uint64_t entries = 0;
  while (auto entry = TRY(reader.next())) {
    fault_point("unpack entry");
    if (++entries > limits.entries) {
      return fail(Error::of(ErrorKind::resource_exhausted, "unpack", entry->path.text(),
                            "more than " + std::to_string(limits.entries) + " entries: the limit of a layer"));
    }
    if (entry->kind == EntryKind::regular) {
      TRY(unpack_file(reader, root, *entry));
    } else {
      TRY(root.add(*entry));
    }
  }
  fault_point("verify layer");
  Digest got = TRY(reader.finish());
  if (got != diff_id) {
    return fail(
        Error::of(ErrorKind::invalid_argument, "verify", diff_id.text(), "the layer's content has " + got.text()));
  }
  if (Fd top = TRY(lower.top())) {
    TRY(root.settle_root(top));
    if (root.missing()) TRY(root.settle(TRY(lower.view())));
  }
  fault_point("finish layer");
  TRY(root.finish());
  return UnpackedLayer{root.totals(), reader.inflated_bytes(), root.opaque_root()};
}

}  // namespace

Result<UnpackedLayer> unpack_layer(std::unique_ptr<ByteSource> blob, const std::string& subject, Fd root,
                                   const LowerLayers& lower, const Digest& diff_id, const UnpackLimits& limits) {
  LayerReader reader = TRY(LayerReader::open(std::move(blob), subject, limits.bytes));
  LayerRoot target(std::move(root));
  return TRY_IN(unpack_entries(reader, target, lower, diff_id, limits), "unpack layer " + subject);
}

}  // namespace podshim::image
