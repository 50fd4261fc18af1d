// ImageStore: the node's images. Content-addressed blobs, one unpacked directory per layer (shared between images),
// records in SQLite that can be rebuilt from the blobs. Layout and commit order: docs/images.md; files -> syncfs ->
// record.
//
// Any thread. Lists and look-ups read a published snapshot and never wait for an import or a disk. import() runs on the
// caller's thread; of two imports of one layer the second waits for the first. A failed import leaves nothing listed
// and nothing that the next start does not sweep. The same holds for pull(): a second call for the same reference with
// the same credentials joins the first. One that fetches runs to its end whoever waits for it; one that waits for
// others ends with its clients.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/pull_request.h"
#include "shim/plan/facts.h"
#include "shim/plan/spec.h"

namespace podshim {

struct Image {
  std::string id;                         // sha256:<64 hex> of the config
  std::vector<std::string> repo_tags;     // sorted
  std::vector<std::string> repo_digests;  // sorted
  std::uint64_t size_bytes = 0;           // of the unpacked layers
  ImageProcess process;
  std::vector<std::string> layers;  // diff ids, lowest first
  bool operator==(const Image&) const = default;
};

struct FsUsage {
  std::string mountpoint;
  std::uint64_t used_bytes = 0, inodes_used = 0;
  std::int64_t timestamp_ns = 0;
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;

  // docker-archive (file), OCI layout (directory or tar), either possibly gzip or zstd as a whole. Gives the images
  // added.
  virtual Result<std::vector<Image>> import(const std::string& path) = 0;

  // From a registry, by tag or digest: the tag is resolved there every time, what is here already is not fetched. An id
  // (nobody can be asked for one) is answered for an image that is here.
  virtual Result<Image> pull(const PullRequest& request) {  // a store without registries
    if (auto image = find(request.reference)) return *std::move(image);
    return fail(Error::of(ErrorKind::not_found, "pull image", request.reference,
                          "it is not here: add it with `podshim image import FILE`"));
  }
  virtual std::vector<PullProgress> pulls() const { return {}; }  // under way

  // By id (with or without sha256:, or a unique prefix of 12 digits and more), tag (":latest" and the default registry
  // docker.io/library are understood as containerd does) or digest reference. nullopt: no such image.
  virtual std::optional<Image> find(const std::string& reference) const = 0;
  virtual std::vector<Image> list() const = 0;  // sorted by id
  // By id: every tag goes. By tag: that tag, and the image with its last one. Unknown is success. Layers in use by
  // containers stay until they are gone (mounted overlays keep their files anyway).
  virtual Result<> remove(const std::string& reference) = 0;
  virtual Result<FsUsage> usage() const = 0;  // cached, measured in the background

  // A detached overlay mount of the image with `container_dir`/upper and /work (made by this call): to be attached in
  // the container's mount namespace. Also valid for look-ups by openat2. `container_dir` exists and is absolute; the
  // layers are in use until it is gone.
  virtual Result<Fd> mount_rootfs(const Image& image, const std::string& container_dir) = 0;
  // The same without an upper: nothing can be written. For images as volumes; in use until `container_dir` is gone.
  // `sub_path` ("" = all of it) is resolved inside the image; ENOENT and the like when it is not there.
  virtual Result<Fd> mount_readonly(const Image& image, const std::string& container_dir,
                                    const std::string& sub_path = "") {
    (void)container_dir, (void)sub_path;
    return fail(Error::of(ErrorKind::unimplemented, "mount image", image.id));
  }
};

// `dir` is <root>/images. Never fails on a bad record: it is set aside and told in `quarantined`.
Result<std::unique_ptr<ImageStore>> open_image_store(const std::string& dir, const HostFacts& facts,
                                                     std::vector<std::string>* quarantined,
                                                     const PullSettings& pull = {});

}  // namespace podshim
