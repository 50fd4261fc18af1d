// Catalog: which images there are and what they are called. An immutable value: add() and remove() give a new one and
// what has to be written for it; the store publishes it once that is on the disk. Pure; any thread.
//
// A tag names one image: adding an image under a tag takes the tag from the one that had it, which stays under its
// digest. Removing by id (or digest of the id) drops the image with all its names; by tag or digest reference that
// name, and the image with its last one.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/image/digest.h"
#include "shim/image/record_db.h"
#include "shim/image/reference.h"
#include "shim/image/store.h"

namespace podshim::image {

struct StoredImage {
  Digest id;
  Digest manifest;
  std::map<std::string, Digest> tags;     // docker.io/library/busybox:1 -> index or manifest
  std::map<std::string, Digest> digests;  // docker.io/library/busybox@sha256:... -> the same
  std::vector<Digest> blobs;              // documents and layers, sorted; not those that were never fetched
  std::vector<Digest> diff_ids;           // lowest first
  bool imported = false;                  // brought by hand: its registry may not exist
  std::uint64_t size_bytes = 0;           // not in the record: from the layers
  ImageProcess process;                   // not in the record: from the config
  Image view() const;
};

std::string encode_record(const StoredImage& image);
Result<StoredImage> decode_record(const Record& record);

class Catalog {
 public:
  // nullptr: no such image. Forms: ImageStore::find.
  const StoredImage* find(const std::string& reference) const;
  std::vector<Image> list() const;
  const std::map<Digest, StoredImage>& images() const { return images_; }

  struct Change;
  Change add(const std::vector<StoredImage>& images) const;
  Change remove(const std::string& reference) const;

 private:
  const StoredImage* find_by_id(const std::string& text) const;
  void put(StoredImage image, std::set<Digest>* touched);
  void erase(const Digest& id, std::vector<std::string>* removed);
  void forget(StoredImage* image, const Reference& ref);

  std::map<Digest, StoredImage> images_;
  std::map<std::string, Digest> by_tag_, by_digest_;
};

struct Catalog::Change {
  Catalog next;
  std::vector<Record> put;
  std::vector<std::string> removed;
};

}  // namespace podshim::image
