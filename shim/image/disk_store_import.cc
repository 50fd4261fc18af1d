#include <sys/stat.h>
#include <unistd.h>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/image/disk_store.h"

namespace podshim::image {
namespace {

// A directory for the files of one import, gone with it.
class Scratch {
 public:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { (void)sys::remove_tree(path_); }  // else swept at the next start
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

StoredImage as_stored(const BundleImage& image) {
  StoredImage out{.id = image.id, .manifest = image.manifest, .process = image.config.process};
  for (const auto& [tag, target] : image.tags) out.tags[tag] = target;
  for (const auto& [repository, target] : image.digests) out.digests[repository + "@" + target.text()] = target;
  for (const auto& [digest, text] : image.documents) out.blobs.push_back(digest);
  for (const auto& layer : image.layers) out.blobs.push_back(layer.digest);
  out.diff_ids = image.config.diff_ids;
  return out;
}

}  // namespace

Result<std::vector<Image>> DiskImageStore::import(const std::string& path) {
  Result<std::vector<Image>> result;
  {
    std::shared_lock at_work(importing_);
    result = [&]() -> Result<std::vector<Image>> {
      Scratch scratch(dir_ + "/ingest/" + random_hex(8));
      TRY(sys::make_dir(scratch.path(), 0700));
      struct stat st{};
      if (::stat(path.c_str(), &st) != 0) return fail(Error::sys("open", path));
      auto files =
          S_ISDIR(st.st_mode) ? TRY(directory_files(path)) : TRY(spool_archive(path, scratch.path(), limits_.spool));
      auto images = TRY(read_bundle(*files, host_platform()));
      if (images.empty())
        return fail(Error::of(ErrorKind::invalid_argument, "import", path, "there is no image in it"));
      return import_images(*files, images);
    }();
  }
  // After a failure blobs without an image are there; a removal may have been waiting.
  if (!result || collect_later_) collect();
  if (!result) return fail(std::move(result).error().within("import " + path));
  return result;
}

Result<std::vector<Image>> DiskImageStore::import_images(const BundleFiles& files,
                                                         const std::vector<BundleImage>& images) {
  std::vector<StoredImage> stored;
  for (const auto& image : images) stored.push_back(TRY_IN(store_image(files, image), "image " + image.id.text()));
  TRY(sync());  // documents, and the markers of the layers
  std::lock_guard lock(write_);
  TRY(commit(catalog()->add(stored)));
  std::vector<Image> out;
  auto now = catalog();
  for (const auto& image : stored) out.push_back(now->images().at(image.id).view());
  return out;
}

Result<StoredImage> DiskImageStore::store_image(const BundleFiles& files, const BundleImage& image) {
  TRY(store_blobs(files, image));
  TRY(store_layers(image));
  StoredImage stored = as_stored(image);
  for (const auto& layer : TRY(layers_->chain(stored.diff_ids))) stored.size_bytes += layer.unpacked.totals.bytes;
  return stored;
}

Result<> DiskImageStore::store_blobs(const BundleFiles& files, const BundleImage& image) {
  for (const auto& layer : image.layers) {
    if (blobs_->has(layer.digest)) continue;
    BundleFile file = TRY(files.open(layer.file));
    std::uint64_t size = file.size;
    if (file.digest && *file.digest != layer.digest) {
      return fail(Error::of(ErrorKind::invalid_argument, "verify", layer.file,
                            "it should be " + layer.digest.text() + ", it is " + file.digest->text()));
    }
    TRY(file.digest ? blobs_->link(layer.digest, file.path) : blobs_->copy(layer.digest, file.fd, layer.file));
    blob_bytes_ += size;
    blob_files_++;
  }
  for (const auto& [digest, text] : image.documents) {
    if (!blobs_->has(digest)) {
      blob_bytes_ += text.size();
      blob_files_++;
    }
    TRY(blobs_->put(digest, text));
  }
  return {};
}

// Files -> syncfs -> markers; the caller syncs again before the record, which also makes the markers last. Claims are
// taken upwards along one chain only, so two imports never wait for each other.
Result<> DiskImageStore::store_layers(const BundleImage& image) {
  std::vector<std::unique_ptr<LayerDir::Claim>> claims;
  std::vector<Layer> made, below;
  Digest parent;
  std::vector<Digest> diff_ids;
  for (const auto& from : image.layers) {
    Layer layer{.chain = chain_id(parent, from.diff_id), .parent = parent, .diff_id = from.diff_id};
    diff_ids.push_back(from.diff_id);
    parent = layer.chain;
    auto claim = layers_->claim(layer.chain);
    if (claim) {
      TRY(layers_->stage(&layer, TRY(blobs_->open_blob(from.digest)), below, limits_.layer));
      made.push_back(layer);
      claims.push_back(std::move(claim));
    } else {
      layer = TRY(layers_->chain(diff_ids)).back();
    }
    below.push_back(std::move(layer));
  }
  if (made.empty()) return {};
  TRY(sync());
  for (const auto& layer : made) TRY(layers_->write_marker(layer));
  TRY(sync());
  for (const auto& layer : made) layers_->publish(layer);
  return {};
}

Result<> DiskImageStore::sync() const {
  Fd dir = TRY(sys::open(dir_, O_RDONLY | O_DIRECTORY));
  if (::syncfs(dir.get()) != 0) return fail(Error::sys("syncfs", dir_));
  return {};
}

}  // namespace podshim::image
