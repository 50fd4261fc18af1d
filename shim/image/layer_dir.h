// LayerDir: the unpacked layers, one directory each, shared by every image whose chain begins alike.
//
//   <dir>/<key>/fs          the files; key = the first 16 digits of the chain id
//   <dir>/<key>/layer.json  written only after fs is on the disk (syncfs): a layer without it does not count
//   <dir>/aside-<random>    a damaged layer that containers may use: its fs, and users/ with their uses, as in <uses>
//   <dir>/empty/{a,b}       below images of one layer or none
//   <uses>/<key>.<hash>     a symlink to a container's directory: the layer and all below are in use while that exists
//   <trash>                 what was taken out of use, removed by Trash
//
// What lies below a damaged layer nobody knows: while a container uses such a one, no layer is collected. A marker that
// cannot be read (EIO) is not a bad one: the layer does not count, and stays until it is made anew or nobody wants it.
//
// A layer's attributes depend on those below it where its tar only implies directories, hence chain ids, not diff ids.
// Any thread. Two importers of one layer: the second waits in claim() for the first, as long as it wants to. Needs what
// LayerRoot needs.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/digest.h"
#include "shim/image/layer_uses.h"
#include "shim/image/unpack.h"
#include "shim/plan/facts.h"

namespace podshim::image {

// The name of its directory.
inline std::string layer_key(const Digest& chain) { return chain.hex().substr(0, 16); }

struct Layer {
  Digest chain, parent, diff_id;  // parent: empty for the bottom
  UnpackedLayer unpacked;
  std::string key() const { return layer_key(chain); }
};

std::string encode_layer(const Layer& layer);
Result<Layer> decode_layer(std::string_view text);

struct LayerPaths {
  std::string layers, uses, trash;
};

class LayerDir {
 public:
  // Reads the markers; what has none, or a bad one, goes to the trash, or aside while containers may use it. Fails
  // without descriptors or memory: what cannot be read now must not count as bad.
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
  struct ClaimTerms {
    std::stop_token given_up;         // ends the waiting: ErrorKind::cancelled
    std::function<void(bool)> aside;  // true before it waits for another's claim, false after; may be empty
    // Somebody begins to wait for this claim. Called from that one's thread with a lock held: it may only take note,
    // and must be callable until the claim is gone. May be empty.
    std::function<void()> wanted;
  };
  // nullptr: the layer is whole already. Waits while another has the claim.
  Result<std::unique_ptr<Claim>> claim(const Digest& chain, const ClaimTerms& terms);

  // Whether another waits for the claim.
  bool is_wanted(const Digest& chain) const;

  // Unpacks into a temporary directory and renames it to its place, without a marker. Needs the claim. `below` gives
  // the layers below, lowest first, once they are in their places; it is called after the last entry.
  using Below = std::function<Result<std::vector<Layer>>()>;
  Result<> stage(Layer* layer, std::unique_ptr<ByteSource> blob, const Below& below, const UnpackLimits& limits);
  Result<> write_marker(const Layer& layer);  // after syncfs
  void publish(const Layer& layer);           // after the marker is on the disk too

  bool has(const Digest& chain) const;             // it is whole
  Result<Layer> whole(const Digest& chain) const;  // not_found: it is not
  // The whole layers of a chain, lowest first; not_found names the missing one.
  Result<std::vector<Layer>> chain(const std::vector<Digest>& diff_ids) const;
  // The same, in use from now on by `container_dir` (an absolute path), until that directory is gone.
  Result<std::vector<Layer>> hold(const std::vector<Digest>& diff_ids, const std::string& container_dir);
  // Moves layers that no chain of `keep` has and no container uses to the trash.
  Result<> collect(const std::set<Digest>& keep);
  LayerTotals totals() const;  // of the whole layers; never waits for the disk

  const std::string& path() const { return paths_.layers; }

 private:
  static constexpr const char* kAside = "aside-";

  LayerDir(LayerPaths paths, HostFacts facts)
      : paths_(std::move(paths)), facts_(std::move(facts)), uses_(paths_.uses) {}
  Result<> load();
  Result<Layer> read(const std::string& name) const;
  void release(const Digest& chain);
  void note_totals();  // after a change of whole_
  bool wait_for(const Digest& chain, const std::stop_token& given_up, std::unique_lock<std::mutex>& lock);
  Result<> discard(const std::string& name);
  Result<> retire(const std::string& name);
  Result<> collect_damaged(const std::set<std::string>& live, bool known);
  bool walk_down(const std::string& key, std::set<std::string>* keys) const;
  Result<Layer> whole_locked(const Digest& chain) const;
  Result<std::vector<Layer>> chain_locked(const std::vector<Digest>& diff_ids) const;

  const LayerPaths paths_;
  const HostFacts facts_;
  const LayerUses uses_;
  mutable std::mutex mutex_;         // guards what follows, and orders hold() against collect()
  mutable std::mutex totals_mutex_;  // guards totals_ alone
  LayerTotals totals_;
  std::condition_variable_any released_;
  std::map<Digest, Layer> whole_;
  std::map<std::string, Digest> keys_;               // of the whole ones
  std::set<std::string> unread_, aside_;             // directories that do not count
  std::map<Digest, std::function<void()>> claimed_;  // who is told that it is wanted
  std::map<Digest, int> waiting_;                    // in claim()
};

// Names of the layers' directories, relative to LayerDir::path(), lowest first; what an opaque root hides is left out.
std::vector<std::string> layer_stack(const std::vector<Layer>& chain);

}  // namespace podshim::image
