#include "shim/image/bundle.h"

#include "common/sys/file.h"
#include "shim/image/reference.h"

namespace podshim::image {
namespace {

constexpr const char* kContainerdName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr int kIndexDepth = 4;

Error bad_bundle(const std::string& subject, std::string why) {
  return Error::of(ErrorKind::invalid_argument, "read image", subject, std::move(why));
}

std::string blob_name(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

Result<std::string> read_document(const BundleFiles& files, const std::string& name) {
  BundleFile file = TRY(files.open(name));
  return sys::read_all(file.fd, name, kMaxDocument);
}

Result<std::string> read_blob(const BundleFiles& files, const Digest& digest) {
  std::string text = TRY(read_document(files, blob_name(digest)));
  if (Digest got = Digest::of(text); got != digest)
    return fail(bad_bundle(digest.text(), "the blob's content has " + got.text()));
  return text;
}

// Names of a descriptor: a full reference. A bare tag (umoci's "latest") names no repository: the image has an id only.
Result<std::string> annotated_name(const Descriptor& descriptor) {
  for (const char* key : {kContainerdName, kRefName}) {
    auto it = descriptor.annotations.find(key);
    if (it == descriptor.annotations.end() || it->second.empty()) continue;
    if (key == kRefName && it->second.find_first_of("/:@") == std::string::npos) continue;
    return it->second;
  }
  return std::string();
}

Result<> add_name(const std::string& name, const Digest& target, BundleImage* image) {
  if (name.empty()) return {};
  Reference ref = TRY(parse_reference(name));
  if (!ref.digest.empty() && ref.digest != target.text()) {
    return fail(bad_bundle(name, "the name is of another digest than its content: " + target.text()));
  }
  if (ref.digest.empty()) image->tags.emplace_back(ref.text(), target);
  image->digests.emplace_back(ref.repository(), target);
  return {};
}

Result<> check_platform(const Platform& image, const Platform& host) {
  if (image.os.empty() && image.architecture.empty()) return {};
  if (image.os == host.os && image.architecture == host.architecture) return {};
  return fail(bad_bundle(image.text(), "the image is for another platform than this node's " + host.text()));
}

Result<> pair_layers(const Manifest& manifest, BundleImage* image) {
  if (manifest.layers.size() != image->config.diff_ids.size()) {
    return fail(bad_bundle(image->manifest.text(), std::to_string(manifest.layers.size()) +
                                                       " layers, but the config has " +
                                                       std::to_string(image->config.diff_ids.size()) + " diff ids"));
  }
  for (std::size_t i = 0; i < manifest.layers.size(); i++) {
    const Digest& digest = manifest.layers[i].digest;
    image->layers.push_back(
        {digest, image->config.diff_ids[i], blob_name(digest), static_cast<std::uint64_t>(manifest.layers[i].size)});
  }
  return {};
}

Result<BundleImage> read_archived(const BundleFiles& files, const ArchivedImage& item, const Platform& platform) {
  BundleImage image;
  std::string config = TRY(read_document(files, item.config));
  image.id = Digest::of(config);
  image.config = TRY_IN(decode_config(config), item.config);
  TRY(check_platform(image.config.platform, platform));
  if (item.layers.size() != image.config.diff_ids.size()) {
    return fail(bad_bundle(item.config, std::to_string(item.layers.size()) + " layers, but " +
                                            std::to_string(image.config.diff_ids.size()) + " diff ids"));
  }
  Manifest manifest{.config = {.digest = image.id, .size = static_cast<std::int64_t>(config.size())}};
  for (std::size_t i = 0; i < item.layers.size(); i++) {
    BundleFile file = TRY(files.open(item.layers[i]));
    if (!file.digest) return fail(bad_bundle(item.layers[i], "a docker-archive is a tar, not a directory"));
    std::string head(8, '\0');
    head.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(file.fd.get(), head.data(), head.size(), 0))));
    manifest.layers.push_back({.media_type = layer_media_type(detect_compression(head)),
                               .digest = *file.digest,
                               .size = static_cast<std::int64_t>(file.size)});
    image.layers.push_back({*file.digest, image.config.diff_ids[i], item.layers[i]});
  }
  std::string text = encode_manifest(manifest);
  image.manifest = Digest::of(text);
  image.documents = {{image.id, std::move(config)}, {image.manifest, std::move(text)}};
  for (const auto& tag : item.repo_tags) TRY(add_name(tag, image.manifest, &image));
  return image;
}

// The same image under several names is one image.
void merge(BundleImage image, std::vector<BundleImage>* out) {
  for (auto& other : *out) {
    if (other.id != image.id || other.manifest != image.manifest) continue;
    other.documents.merge(image.documents);
    other.tags.insert(other.tags.end(), image.tags.begin(), image.tags.end());
    other.digests.insert(other.digests.end(), image.digests.begin(), image.digests.end());
    return;
  }
  out->push_back(std::move(image));
}

}  // namespace

Result<BundleImage> read_oci_image(const BundleFiles& files, const Descriptor& descriptor, const Platform& platform) {
  return read_oci_image([&](const Digest& digest, DocumentRole) { return read_blob(files, digest); }, descriptor,
                        platform);
}

Result<BundleImage> read_oci_image(const ReadDocument& read, const Descriptor& descriptor, const Platform& platform) {
  BundleImage image;
  Digest digest = descriptor.digest;
  std::string text;
  for (int depth = 0;; depth++) {
    text = TRY(read(digest, DocumentRole::manifest));
    DocumentKind kind = TRY_IN(document_kind(text), digest.text());
    if (kind == DocumentKind::manifest) break;
    if (depth == kIndexDepth) return fail(bad_bundle(digest.text(), "indexes nested too deeply"));
    Index index = TRY_IN(decode_index(text), digest.text());
    image.documents[digest] = std::move(text);
    digest = TRY(choose(index, platform)).digest;
  }
  Manifest manifest = TRY_IN(decode_manifest(text), digest.text());
  image.manifest = digest;
  image.documents[digest] = std::move(text);
  image.id = manifest.config.digest;
  std::string config = TRY(read(image.id, DocumentRole::config));
  image.config = TRY_IN(decode_config(config), image.id.text());
  image.documents[image.id] = std::move(config);
  TRY(check_platform(image.config.platform, platform));
  TRY(pair_layers(manifest, &image));
  TRY(add_name(TRY(annotated_name(descriptor)), descriptor.digest, &image));
  return image;
}

Result<std::vector<BundleImage>> read_bundle(const BundleFiles& files, const Platform& platform) {
  std::vector<BundleImage> out;
  if (files.has("index.json")) {
    Index index = TRY_IN(decode_index(TRY(read_document(files, "index.json"))), "index.json");
    for (const auto& descriptor : index.manifests) {
      const auto& of = descriptor.platform;  // a flat index of several platforms: ours alone
      if (of && index.manifests.size() > 1 && !check_platform(*of, platform)) continue;
      merge(TRY_IN(read_oci_image(files, descriptor, platform), "image " + descriptor.digest.text()), &out);
    }
    if (out.empty() && !index.manifests.empty()) {
      return fail(bad_bundle("index.json", "it has no image for " + platform.text()));
    }
    return out;
  }
  auto text = read_document(files, "manifest.json");
  if (!text && text.error().kind == ErrorKind::not_found) {
    return fail(bad_bundle("file", "neither an OCI layout (index.json) nor a docker-archive (manifest.json)"));
  }
  for (const auto& item : TRY_IN(decode_docker_archive(TRY(std::move(text))), "manifest.json")) {
    merge(TRY_IN(read_archived(files, item, platform), "image " + item.config), &out);
  }
  return out;
}

}  // namespace podshim::image
