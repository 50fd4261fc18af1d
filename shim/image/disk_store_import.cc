#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "shim/image/disk_store.h"
#include "shim/image/layer_pipeline.h"
#include "shim/image/scratch.h"

namespace podshim::image {
StoredImage DiskImageStore::as_stored(const BundleImage& image) {
  StoredImage out{.id = image.id, .manifest = image.manifest, .process = image.config.process};
  for (const auto& [tag, target] : image.tags) out.tags[tag] = target;
  for (const auto& [repository, target] : image.digests) out.digests[repository + "@" + target.text()] = target;
  for (const auto& [digest, text] : image.documents) out.blobs.push_back(digest);
  for (const auto& layer : image.layers) out.blobs.push_back(layer.digest);
  out.diff_ids = image.config.diff_ids;
  return out;
}

Result<std::vector<Image>> DiskImageStore::import(const std::string& path) {
  auto result = [&]() -> Result<std::vector<Image>> {
    Scratch scratch = TRY(Scratch::make(dir_ + "/ingest"));
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0) return fail(Error::sys("open", path));
    auto files =
        S_ISDIR(st.st_mode) ? TRY(directory_files(path)) : TRY(spool_archive(path, scratch.path(), limits_.spool));
    auto images = TRY(read_bundle(*files, host_platform()));
    if (images.empty()) return fail(Error::of(ErrorKind::invalid_argument, "import", path, "there is no image in it"));
    auto hold = reserve(images);
    return import_images(*files, images);
  }();
  if (!result) collect();  // blobs without an image
  if (!result) return fail(std::move(result).error().within("import " + path));
  return result;
}

std::unique_ptr<Reservations::Hold> DiskImageStore::reserve(const std::vector<BundleImage>& images) {
  Reservations::Kept kept;
  for (const auto& image : images) {
    for (const auto& [digest, text] : image.documents) kept.blobs.insert(digest);
    Digest chain;
    for (const auto& layer : image.layers) {
      kept.blobs.insert(layer.digest);
      kept.chains.insert(chain = chain_id(chain, layer.diff_id));
    }
  }
  return reserved_.reserve(std::move(kept));
}

Result<std::vector<Image>> DiskImageStore::import_images(const BundleFiles& files,
                                                         const std::vector<BundleImage>& images) {
  std::vector<StoredImage> stored;
  for (const auto& image : images) stored.push_back(TRY_IN(store_image(files, image), "image " + image.id.text()));
  TRY(sync());  // documents, and the markers of the layers
  std::lock_guard lock(write_);
  TRY(add(stored));
  std::vector<Image> out;
  auto now = catalog();
  for (const auto& image : stored) out.push_back(now->images().at(image.id).view());
  return out;
}

Result<StoredImage> DiskImageStore::store_image(const BundleFiles& files, const BundleImage& image) {
  TRY(store_blobs(files, image));
  TRY(make_layers(image));
  StoredImage stored = as_stored(image);
  keep_what_is_here(&stored.blobs);
  stored.imported = true;
  for (const auto& layer : TRY(layers_->chain(stored.diff_ids))) stored.size_bytes += layer.unpacked.totals.bytes;
  return stored;
}

void DiskImageStore::keep_what_is_here(std::vector<Digest>* blobs) const {
  std::erase_if(*blobs, [&](const Digest& digest) { return !blobs_->has(digest); });
}

Result<> DiskImageStore::store_blobs(const BundleFiles& files, const BundleImage& image) {
  Digest chain;
  for (const auto& layer : image.layers) {
    chain = chain_id(chain, layer.diff_id);
    if (blobs_->has(layer.digest)) continue;
    auto opened = files.open(layer.file);
    // A pull does not fetch what another image unpacked, so a store of ours may be without the blob. The layer counts.
    if (!opened && opened.error().kind == ErrorKind::not_found && layers_->has(chain)) continue;
    BundleFile file = TRY(std::move(opened));
    if (file.digest && *file.digest != layer.digest) {
      return fail(Error::of(ErrorKind::invalid_argument, "verify", layer.file,
                            "it should be " + layer.digest.text() + ", it is " + file.digest->text()));
    }
    TRY(file.digest ? blobs_->link(layer.digest, file.path) : blobs_->copy(layer.digest, file.fd, layer.file));
  }
  return store_documents(image);
}

Result<> DiskImageStore::store_documents(const BundleImage& image) {
  for (const auto& [digest, text] : image.documents) TRY(blobs_->put(digest, text));
  return {};
}

Result<> DiskImageStore::make_layers(const BundleImage& image) {
  std::vector<LayerSource> sources;
  for (const auto& layer : image.layers) {
    auto open = [this, &layer]() -> Result<std::unique_ptr<ByteSource>> {
      return file_source(TRY(blobs_->open_blob(layer.digest)), layer.digest.text());
    };
    sources.push_back({.diff_id = layer.diff_id, .open = open});
  }
  return store_layers(*layers_, sources, {.limits = limits_.layer, .sync = [this] { return sync(); }});
}

Result<> DiskImageStore::sync() const {
  Fd dir = TRY(sys::open(dir_, O_RDONLY | O_DIRECTORY));
  fault_point("sync images");
  if (::syncfs(dir.get()) != 0) return fail(Error::sys("syncfs", dir_));
  return {};
}

}  // namespace podshim::image
