// A bundle: what one imported file or directory holds, read and checked, before anything enters the store.
//
// BundleFiles gives files by the names that the documents inside use. DirectoryFiles reads an OCI layout where it is
// (names resolved with the directory as root); spool_archive() writes every file of a tar (plain, gzip or zstd as a
// whole) under a number into `scratch`, hashing it, since manifest.json and index.json may come last. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/digest.h"
#include "shim/image/manifest.h"

namespace podshim::image {

struct BundleFile {
  Fd fd;
  std::string path;              // of a spooled file: may be linked into the store
  std::optional<Digest> digest;  // known of a spooled file
  std::uint64_t size = 0;
};

class BundleFiles {
 public:
  virtual ~BundleFiles() = default;
  virtual Result<BundleFile> open(const std::string& name) const = 0;  // not_found
  virtual bool has(const std::string& name) const = 0;
};

Result<std::unique_ptr<BundleFiles>> directory_files(const std::string& dir);
struct SpoolLimits {
  std::uint64_t bytes = 256ULL << 30;
  std::uint64_t entries = 100'000;
};
Result<std::unique_ptr<BundleFiles>> spool_archive(const std::string& path, const std::string& scratch,
                                                   const SpoolLimits& limits);

struct BundleLayer {
  Digest digest;   // of the blob as stored
  Digest diff_id;  // of the inflated tar
  std::string file;
  std::uint64_t size = 0;  // as the manifest has it
};

struct BundleImage {
  Digest id;
  ImageConfig config;
  Digest manifest;
  std::map<Digest, std::string> documents;              // config, manifest, and the indexes on the way
  std::vector<BundleLayer> layers;                      // lowest first
  std::vector<std::pair<std::string, Digest>> tags;     // canonical name:tag -> what it names (index or manifest)
  std::vector<std::pair<std::string, Digest>> digests;  // repository -> the same
};

// OCI when there is an index.json, else docker-archive. Images for another platform are an error.
Result<std::vector<BundleImage>> read_bundle(const BundleFiles& files, const Platform& platform);

enum class DocumentRole { manifest, config };
// Documents by their digest, checked against it.
using ReadDocument = std::function<Result<std::string>(const Digest&, DocumentRole)>;
// What an index or manifest names for a platform. No names but those of the descriptor's annotations.
Result<BundleImage> read_oci_image(const ReadDocument& read, const Descriptor& descriptor, const Platform& platform);
// One manifest of a layout (index or manifest) with a reference as its annotation has it ("" = none); for the rebuild.
Result<BundleImage> read_oci_image(const BundleFiles& files, const Descriptor& descriptor, const Platform& platform);

}  // namespace podshim::image
