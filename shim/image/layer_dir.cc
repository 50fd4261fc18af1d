#include "shim/image/layer_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/ids.h"
#include "common/json.h"
#include "common/sys/file.h"
#include "shim/image/overlay.h"

namespace podshim::image {
namespace {

constexpr const char* kMarker = "/layer.json";

Result<std::uint64_t> count_of(const json::Reader& r, std::string_view name) {
  return static_cast<std::uint64_t>(TRY(r.integer(name, 0)));
}

Result<Digest> digest_of(const json::Reader& r, std::string_view name) {
  return TRY_IN(Digest::parse(TRY(r.string(name))), r.field(name));
}

}  // namespace

std::string encode_layer(const Layer& layer) {
  const UnpackedLayer& u = layer.unpacked;
  json::Value v = json::Value::object();
  v.set("chain", layer.chain.text()).set("diff_id", layer.diff_id.text());
  if (!layer.parent.empty()) v.set("parent", layer.parent.text());
  v.set("bytes", u.totals.bytes).set("blocks", u.totals.blocks).set("inodes", u.totals.inodes);
  v.set("inflated", u.inflated).set("opaque_root", u.opaque_root);
  return json::dump(v);
}

Result<Layer> decode_layer(std::string_view text) {
  json::Value v = TRY(json::parse(text));
  json::Reader r = TRY(json::Reader::of(v));
  Layer layer;
  layer.chain = TRY(digest_of(r, "chain"));
  layer.diff_id = TRY(digest_of(r, "diff_id"));
  if (r.has("parent")) layer.parent = TRY(digest_of(r, "parent"));
  if (chain_id(layer.parent, layer.diff_id) != layer.chain)
    return fail(r.error("chain", "not of this parent and diff id"));
  UnpackedLayer& u = layer.unpacked;
  u.totals = {TRY(count_of(r, "bytes")), TRY(count_of(r, "blocks")), TRY(count_of(r, "inodes"))};
  u.inflated = TRY(count_of(r, "inflated"));
  u.opaque_root = TRY(r.boolean("opaque_root"));
  return layer;
}

Result<std::unique_ptr<LayerDir>> LayerDir::open(LayerPaths paths, HostFacts facts) {
  for (const auto* dir : {&paths.layers, &paths.uses, &paths.trash}) TRY(sys::make_dirs(*dir, 0700));
  for (const char* name : {"/empty", "/empty/a", "/empty/b"}) TRY(sys::make_dir(paths.layers + name, 0755));
  std::unique_ptr<LayerDir> self(new LayerDir(std::move(paths), std::move(facts)));
  TRY(self->load());
  return self;
}

Result<> LayerDir::load() {
  for (const auto& name : TRY(sys::list_dir(paths_.layers))) {
    if (name == "empty") continue;
    auto text = sys::read_file(paths_.layers + "/" + name + kMarker, 1UL << 16);
    auto layer = text ? decode_layer(*text) : fail(std::move(text).error());
    if (layer && layer->key() == name && sys::exists(paths_.layers + "/" + name + "/fs")) {
      whole_[layer->chain] = *std::move(layer);
    } else {
      TRY(discard(name));
    }
  }
  return {};
}

Result<> LayerDir::discard(const std::string& name) {
  std::string from = paths_.layers + "/" + name, to = paths_.trash + "/" + random_hex(8);
  if (::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("rename", from, to));
}

std::unique_ptr<LayerDir::Claim> LayerDir::claim(const Digest& chain) {
  std::unique_lock lock(mutex_);
  released_.wait(lock, [&] { return whole_.contains(chain) || !claimed_.contains(chain); });
  if (whole_.contains(chain)) return nullptr;
  claimed_.insert(chain);
  return std::make_unique<Claim>(this, chain);
}

void LayerDir::release(const Digest& chain) {
  std::lock_guard lock(mutex_);
  claimed_.erase(chain);
  // Without a marker the next start removes it, should this fail.
  if (!whole_.contains(chain)) (void)discard(Layer{.chain = chain}.key());
  released_.notify_all();
}

Result<> LayerDir::stage(Layer* layer, Fd blob, const std::vector<Layer>& below, const UnpackLimits& limits) {
  std::string temporary = "new-" + random_hex(8), dir = paths_.layers + "/" + temporary;
  auto result = [&]() -> Result<> {
    TRY(sys::make_dir(dir, 0700));
    TRY(sys::make_dir(dir + "/fs", 0755));
    Fd root = TRY(sys::open(dir + "/fs", O_RDONLY | O_DIRECTORY));
    if (::fchmod(root.get(), 0755) != 0) return fail(Error::sys("chmod", dir));
    LowerLayers lower;
    if (!below.empty()) {
      lower.top = TRY(sys::open(paths_.layers + "/" + below.back().key() + "/fs", O_RDONLY | O_DIRECTORY));
      lower.view = [&] { return mount_lower_view(paths_.layers, layer_stack(below), facts_); };
    }
    layer->unpacked =
        TRY(unpack_layer(std::move(blob), layer->diff_id.text(), std::move(root), lower, layer->diff_id, limits));
    TRY(discard(layer->key()));  // a damaged one
    std::string place = paths_.layers + "/" + layer->key();
    if (::rename(dir.c_str(), place.c_str()) != 0) return fail(Error::sys("rename", dir, place));
    return {};
  }();
  if (!result) (void)discard(temporary);  // else swept at the next start
  return result;
}

Result<> LayerDir::write_marker(const Layer& layer) {
  return sys::write_file_atomic(paths_.layers + "/" + layer.key() + kMarker, encode_layer(layer), 0600);
}

void LayerDir::publish(const Layer& layer) {
  std::lock_guard lock(mutex_);
  whole_[layer.chain] = layer;
  released_.notify_all();
}

Result<std::vector<Layer>> LayerDir::chain_locked(const std::vector<Digest>& diff_ids) const {
  std::vector<Layer> out;
  Digest chain;
  for (const auto& diff_id : diff_ids) {
    chain = chain_id(chain, diff_id);
    auto it = whole_.find(chain);
    if (it == whole_.end()) return fail(Error::of(ErrorKind::not_found, "layer", diff_id.text(), "not unpacked"));
    out.push_back(it->second);
  }
  return out;
}

Result<std::vector<Layer>> LayerDir::chain(const std::vector<Digest>& diff_ids) const {
  std::lock_guard lock(mutex_);
  return chain_locked(diff_ids);
}

Result<std::vector<Layer>> LayerDir::hold(const std::vector<Digest>& diff_ids, const std::string& container_dir) {
  std::lock_guard lock(mutex_);
  auto layers = TRY(chain_locked(diff_ids));
  if (layers.empty()) return layers;
  std::string use = paths_.uses + "/" + layers.back().key() + "." + Digest::of(container_dir).hex().substr(0, 16);
  if (::symlink(container_dir.c_str(), use.c_str()) != 0 && errno != EEXIST) {
    return fail(Error::sys("symlink", container_dir, use));
  }
  return layers;
}

Result<std::set<std::string>> LayerDir::used_keys() const {
  std::set<std::string> keys;
  for (const auto& name : TRY(sys::list_dir(paths_.uses))) {
    std::string use = paths_.uses + "/" + name;
    struct stat st{};
    if (::stat(use.c_str(), &st) == 0 || errno != ENOENT) {  // follows: the container's directory is there
      keys.insert(name.substr(0, name.find('.')));
    } else {
      TRY(sys::remove_file(use));
    }
  }
  return keys;
}

Result<> LayerDir::collect(const std::set<Digest>& keep) {
  std::lock_guard lock(mutex_);
  auto used = TRY(used_keys());
  std::set<Digest> live;
  for (const auto& [chain, layer] : whole_) {
    if (!keep.contains(chain) && !used.contains(layer.key())) continue;
    for (Digest at = chain; !at.empty() && live.insert(at).second;) {
      auto it = whole_.find(at);
      at = it == whole_.end() ? Digest() : it->second.parent;
    }
  }
  for (auto it = whole_.begin(); it != whole_.end();) {
    if (live.contains(it->first)) {
      ++it;
      continue;
    }
    TRY(discard(it->second.key()));
    it = whole_.erase(it);
  }
  return {};
}

LayerTotals LayerDir::totals() const {
  std::lock_guard lock(mutex_);
  LayerTotals sum;
  for (const auto& [chain, layer] : whole_) {
    sum.bytes += layer.unpacked.totals.bytes;
    sum.blocks += layer.unpacked.totals.blocks;
    sum.inodes += layer.unpacked.totals.inodes;
  }
  return sum;
}

std::vector<std::string> layer_stack(const std::vector<Layer>& chain) {
  std::vector<std::string> out;
  for (const auto& layer : chain) {
    if (layer.unpacked.opaque_root) out.clear();
    out.push_back(layer.key() + "/fs");
  }
  return out;
}

}  // namespace podshim::image
