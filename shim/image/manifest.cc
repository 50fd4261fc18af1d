#include "shim/image/manifest.h"

#include <sys/utsname.h>

#include "common/json.h"

namespace podshim::image {
namespace {

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";

Result<Platform> decode_platform(const json::Reader& r) {
  return Platform{.os = TRY(r.string_or("os", "")),
                  .architecture = TRY(r.string_or("architecture", "")),
                  .variant = TRY(r.string_or("variant", ""))};
}

Result<Descriptor> decode_descriptor(const json::Reader& r) {
  Descriptor d;
  d.media_type = TRY(r.string_or("mediaType", ""));
  std::string digest = TRY(r.string("digest"));
  auto parsed = Digest::parse(digest);
  if (!parsed) return fail(std::move(parsed).error().within(r.field("digest")));
  d.digest = *std::move(parsed);
  d.size = TRY(r.integer_or("size", 0, 0));
  d.annotations = TRY(r.string_map("annotations"));
  if (auto platform = TRY(r.opt_object("platform"))) d.platform = TRY(decode_platform(*platform));
  return d;
}

Result<std::vector<Descriptor>> decode_descriptors(const json::Reader& r, std::string_view name, std::size_t limit) {
  auto objects = TRY(r.objects(name));
  if (objects.size() > limit) {
    return fail(r.error(name, std::to_string(objects.size()) + " entries, more than " + std::to_string(limit)));
  }
  std::vector<Descriptor> out;
  for (const auto& object : objects) out.push_back(TRY(decode_descriptor(object)));
  return out;
}

Result<ImageProcess> decode_process(const json::Reader& r) {
  ImageProcess p;
  p.user = TRY(r.string_or("User", ""));
  p.entrypoint = TRY(r.strings("Entrypoint"));
  p.cmd = TRY(r.strings("Cmd"));
  p.env = TRY(r.strings("Env"));
  p.working_dir = TRY(r.string_or("WorkingDir", ""));
  p.stop_signal = TRY(r.string_or("StopSignal", ""));
  if (const json::Value* volumes = r.get("Volumes"); volumes != nullptr && volumes->is_object()) {
    for (const auto& [path, ignored] : volumes->as_object()) p.volumes.push_back(path);
  }
  return p;
}

bool is_layer(std::string_view type) {
  return type.empty() || type.starts_with(kOciLayer) ||
         type.starts_with("application/vnd.oci.image.layer.nondistributable") ||
         type.starts_with("application/vnd.docker.image.rootfs.diff.tar") ||
         type.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar");
}

Result<json::Value> parse_document(std::string_view text) {
  if (text.size() > kMaxDocument) return fail(Error::invalid("document", "larger than 4 MiB"));
  return json::parse(text);
}

json::Value encode_descriptor(const Descriptor& d) {
  return json::Value::object().set("mediaType", d.media_type).set("digest", d.digest.text()).set("size", d.size);
}

}  // namespace

Platform host_platform() {
  utsname name{};
  ::uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return {"linux", "amd64", ""};
  if (machine == "aarch64") return {"linux", "arm64", "v8"};
  if (machine.starts_with("armv7")) return {"linux", "arm", "v7"};
  if (machine == "i686") return {"linux", "386", ""};
  return {"linux", machine, ""};
}

Result<DocumentKind> document_kind(std::string_view text) {
  json::Value document = TRY(parse_document(text));
  json::Reader r = TRY(json::Reader::of(document));
  bool index = r.has("manifests");
  bool manifest = r.has("config") || r.has("layers");
  if (index && manifest) return fail(Error::invalid("manifests", "the document is an index and a manifest at once"));
  if (index) return DocumentKind::index;
  if (manifest) return DocumentKind::manifest;
  if (r.has("fsLayers"))
    return fail(Error::of(ErrorKind::unimplemented, "read manifest", "schemaVersion",
                          "Docker's schema 1 is not supported: push the image again with a tool of this decade"));
  return fail(Error::invalid("mediaType", "the document is neither an image index nor an image manifest"));
}

Result<Index> decode_index(std::string_view text) {
  json::Value document = TRY(parse_document(text));
  json::Reader r = TRY(json::Reader::of(document));
  if (r.has("config") || r.has("layers")) return fail(r.error("layers", "an image index has none"));
  return Index{.manifests = TRY(decode_descriptors(r, "manifests", 10000))};
}

Result<Manifest> decode_manifest(std::string_view text) {
  json::Value document = TRY(parse_document(text));
  json::Reader r = TRY(json::Reader::of(document));
  if (r.has("manifests")) return fail(r.error("manifests", "an image manifest has none"));
  if (r.has("schemaVersion") && TRY(r.integer("schemaVersion")) != 2) {
    return fail(r.error("schemaVersion", "only version 2 is known"));
  }
  Manifest m;
  m.config = TRY(decode_descriptor(TRY(r.object("config"))));
  m.layers = TRY(decode_descriptors(r, "layers", kMaxLayers));
  for (const auto& layer : m.layers) {
    if (layer.media_type.ends_with("+encrypted") || !is_layer(layer.media_type)) {
      return fail(Error::of(ErrorKind::unimplemented, "layer", layer.digest.text(), "media type " + layer.media_type));
    }
  }
  return m;
}

Result<ImageConfig> decode_config(std::string_view text) {
  json::Value document = TRY(parse_document(text));
  json::Reader r = TRY(json::Reader::of(document));
  ImageConfig c;
  c.platform = TRY(decode_platform(r));
  if (auto process = TRY(r.opt_object("config"))) c.process = TRY(decode_process(*process));
  json::Reader rootfs = TRY(r.object("rootfs"));
  if (TRY(rootfs.string_or("type", "layers")) != "layers")
    return fail(rootfs.error("type", "only \"layers\" is known"));
  auto diff_ids = TRY(rootfs.strings("diff_ids"));
  if (diff_ids.size() > kMaxLayers) return fail(rootfs.error("diff_ids", "more than 500 layers"));
  for (const auto& id : diff_ids) c.diff_ids.push_back(TRY_IN(Digest::parse(id), rootfs.field("diff_ids")));
  return c;
}

Result<std::vector<ArchivedImage>> decode_docker_archive(std::string_view text) {
  json::Value document = TRY(parse_document(text));
  if (!document.is_array()) return fail(Error::invalid("manifest.json", "it is not a list"));
  std::vector<ArchivedImage> out;
  for (const auto& item : document.as_array()) {
    json::Reader r = TRY(json::Reader::of(item, "[" + std::to_string(out.size()) + "]"));
    out.push_back({.config = TRY(r.string("Config")),
                   .repo_tags = TRY(r.strings("RepoTags")),
                   .layers = TRY(r.strings("Layers"))});
    if (out.back().layers.size() > kMaxLayers) return fail(r.error("Layers", "more than 500 layers"));
  }
  return out;
}

Result<Descriptor> choose(const Index& index, const Platform& platform) {
  const Descriptor* best = nullptr;
  int best_rank = 0;
  std::string seen;
  for (const auto& d : index.manifests) {
    int rank = 0;
    if (!d.platform || (d.platform->os.empty() && d.platform->architecture.empty())) {
      rank = 1;
    } else {
      seen += (seen.empty() ? "" : ", ") + d.platform->text();
      if (d.platform->os == platform.os && d.platform->architecture == platform.architecture) {
        if (d.platform->variant.empty() || platform.variant.empty()) rank = 2;
        if (d.platform->variant == platform.variant) rank = 3;
      }
    }
    if (rank > best_rank) {
      best = &d;
      best_rank = rank;
    }
  }
  if (best != nullptr) return *best;
  return fail(Error::of(ErrorKind::not_found, "choose manifest", platform.text(),
                        "the image is for " + (seen.empty() ? std::string("no platform at all") : seen)));
}

std::string encode_manifest(const Manifest& manifest) {
  json::Value layers = json::Value::array();
  for (const auto& layer : manifest.layers) layers.push(encode_descriptor(layer));
  Descriptor config = manifest.config;
  config.media_type = kOciConfig;
  json::Value document = json::Value::object();
  document.set("schemaVersion", 2).set("mediaType", kOciManifest);
  document.set("config", encode_descriptor(config)).set("layers", std::move(layers));
  return json::dump(document);
}

LayerCompression detect_compression(std::string_view head) {
  if (head.starts_with("\x1f\x8b")) return LayerCompression::gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return LayerCompression::zstd;
  // A zstd stream may open with a skippable frame, 0x184D2A5? little-endian (RFC 8878, 3.1.2).
  if (head.size() >= 4 && (head[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18")
    return LayerCompression::zstd;
  return LayerCompression::none;
}

std::string layer_media_type(LayerCompression compression) {
  switch (compression) {
    case LayerCompression::none:
      return std::string(kOciLayer);
    case LayerCompression::gzip:
      return std::string(kOciLayer) + "+gzip";
    case LayerCompression::zstd:
      return std::string(kOciLayer) + "+zstd";
  }
  return std::string(kOciLayer);
}

}  // namespace podshim::image
