// LayerDir: the unpacked layers, one directory each, shared by every image whose chain begins alike.
//
//   <dir>/<key>/fs          the files; key = the first 16 digits of the chain id
//   <dir>/<key>/layer.json  written only after fs is on the disk (syncfs): a layer without it does not count
//   <dir>/empty/{a,b}       below images of one layer or none
//   <uses>/<key>.<hash>     a symlink to a container's directory: the layer and all below are in use while that exists
//   <trash>                 what was taken out of use, removed by Trash
//
// A layer's attributes depend on those below it where its tar only implies directories, hence chain ids, not diff ids.
// Any thread. Two importers of one layer: the second waits in claim() for the first. Needs what LayerRoot needs.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/digest.h"
#include "shim/image/unpack.h"
#include "shim/plan/facts.h"

namespace podshim::image {

struct Layer {
  Digest chain, parent, diff_id;  // parent: empty for the bottom
  UnpackedLayer unpacked;
  std::string key() const { return chain.hex().substr(0, 16); }
};

std::string encode_layer(const Layer& layer);
Result<Layer> decode_layer(std::string_view text);

struct LayerPaths {
  std::string layers, uses, trash;
};

class LayerDir {
 public:
  // Reads the markers; what has none goes to the trash.
  static Result<std::unique_ptr<LayerDir>> open(LayerPaths paths, HostFacts facts);

  // The right to make one layer. Gone without publish(): what was staged goes to the trash and the next one may try.
  class Claim {
   public:
    Claim(LayerDir* dir, Digest chain) : dir_(dir), chain_(std::move(chain)) {}
    Claim(Claim&& o) noexcept : dir_(std::exchange(o.dir_, nullptr)), chain_(std::move(o.chain_)) {}
    Claim& operator=(Claim&&) = delete;
    ~Claim() {
      if (dir_ != nullptr) dir_->release(chain_);
    }

   private:
    LayerDir* dir_;
    Digest chain_;
  };
  // nullptr: the layer is whole already. Waits while another has the claim.
  std::unique_ptr<Claim> claim(const Digest& chain);

  // Unpacks into a temporary directory and renames it to its place, without a marker. Needs the claim.
  Result<> stage(Layer* layer, Fd blob, const std::vector<Layer>& below, const UnpackLimits& limits);
  Result<> write_marker(const Layer& layer);  // after syncfs
  void publish(const Layer& layer);           // after the marker is on the disk too

  // The whole layers of a chain, lowest first; not_found names the missing one.
  Result<std::vector<Layer>> chain(const std::vector<Digest>& diff_ids) const;
  // The same, in use from now on by `container_dir` (an absolute path), until that directory is gone.
  Result<std::vector<Layer>> hold(const std::vector<Digest>& diff_ids, const std::string& container_dir);
  // Moves layers that no chain of `keep` has and no container uses to the trash.
  Result<> collect(const std::set<Digest>& keep);
  LayerTotals totals() const;

  const std::string& path() const { return paths_.layers; }

 private:
  LayerDir(LayerPaths paths, HostFacts facts) : paths_(std::move(paths)), facts_(std::move(facts)) {}
  Result<> load();
  void release(const Digest& chain);
  Result<> discard(const std::string& name);
  Result<std::set<std::string>> used_keys() const;
  Result<std::vector<Layer>> chain_locked(const std::vector<Digest>& diff_ids) const;

  const LayerPaths paths_;
  const HostFacts facts_;
  mutable std::mutex mutex_;  // guards whole_ and claimed_, and orders hold() against collect()
  std::condition_variable released_;
  std::map<Digest, Layer> whole_;
  std::set<Digest> claimed_;
};

// Names of the layers' directories, relative to LayerDir::path(), lowest first; what an opaque root hides is left out.
std::vector<std::string> layer_stack(const std::vector<Layer>& chain);

}  // namespace podshim::image
