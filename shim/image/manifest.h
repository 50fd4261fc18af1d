// The JSON documents of images, decoded into values: OCI index, manifest and config (image-spec 1.1), Docker's
// manifest list, manifest v2 schema 2 and config, and manifest.json of `docker save`. Unknown members are allowed, a
// member of the wrong type is an error that names it. A document that is an index and a manifest at once is refused
// (CVE-2021-41190). Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/image/digest.h"
#include "shim/plan/spec.h"

namespace podshim::image {

// Overlayfs stacks up to 500 layers (OVL_MAX_STACK).
inline constexpr std::size_t kMaxLayers = 500;
inline constexpr std::size_t kMaxDocument = 4UL << 20;

struct Platform {
  std::string os, architecture, variant;  // in Go's words: linux, amd64, arm64, v8
  std::string text() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }
  bool operator==(const Platform&) const = default;
};
Platform host_platform();

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::int64_t size = 0;
  std::optional<Platform> platform;
  std::map<std::string, std::string> annotations;
  bool operator==(const Descriptor&) const = default;
};

struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

struct ImageConfig {
  Platform platform;
  ImageProcess process;
  std::vector<Digest> diff_ids;  // lowest first
};

// One image of a docker-archive's manifest.json; `config` and `layers` are paths in the archive.
struct ArchivedImage {
  std::string config;
  std::vector<std::string> repo_tags, layers;
};

enum class DocumentKind { index, manifest };
Result<DocumentKind> document_kind(std::string_view text);
Result<Index> decode_index(std::string_view text);
Result<Manifest> decode_manifest(std::string_view text);
Result<ImageConfig> decode_config(std::string_view text);
Result<std::vector<ArchivedImage>> decode_docker_archive(std::string_view text);

// The manifest of an index for a platform: an exact variant first, then one without. An entry without a platform is
// taken when no other fits (layouts of umoci and skopeo name none). Attestations (unknown/unknown) are never taken.
Result<Descriptor> choose(const Index& index, const Platform& platform);

// The same text for the same manifest: its digest names an image that came without one (docker-archive).
std::string encode_manifest(const Manifest& manifest);

enum class LayerCompression { none, gzip, zstd };
// By the first bytes; media types are often wrong.
LayerCompression detect_compression(std::string_view head);
std::string layer_media_type(LayerCompression compression);

}  // namespace podshim::image
