#include "shim/image/layer_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/ids.h"
#include "common/json.h"
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/image/overlay.h"

namespace podshim::image {
namespace {

constexpr const char* kMarker = "/layer.json";
constexpr const char* kNew = "new-";

// What time will not mend; other errors of the kernel may be of the moment.
bool is_bad(const Error& e) {
  return e.kind != ErrorKind::os || e.is(ENOENT) || e.is(ENOTDIR) || e.is(EISDIR) || e.is(ELOOP) || e.is(EFBIG);
}

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
  std::vector<std::string> bad;
  for (const auto& name : TRY(sys::list_dir(paths_.layers))) {
    if (name == "empty") continue;
    if (name.starts_with(kAside)) {
      aside_.insert(name);
      continue;
    }
    auto layer = read(name);
    if (name.starts_with(kNew) || (!layer && layer.error().is(ENOTDIR))) {  // no container ever used these
      TRY(discard(name));
    } else if (layer) {
      keys_[name] = layer->chain;
      whole_[layer->chain] = *std::move(layer);
    } else if (layer.error().is_shortage()) {
      return fail(std::move(layer).error().within("read the layers"));
    } else if (is_bad(layer.error())) {
      bad.push_back(name);
    } else {
      log::warn("a layer cannot be read", {{"layer", name}, {"error", layer.error().text()}});
      unread_.insert(name);
    }
  }
  for (const auto& name : bad) {  // when all that are whole are known
    auto retired = retire(name);
    if (retired) continue;
    // A full disk must not keep the daemon from starting: it stays where it is, and is looked at again then.
    log::warn("a damaged layer stays in its place", {{"layer", name}, {"error", retired.error().text()}});
    unread_.insert(name);
  }
  note_totals();
  return {};
}

Result<Layer> LayerDir::read(const std::string& name) const {
  const std::string dir = paths_.layers + "/" + name;
  Layer layer = TRY(decode_layer(TRY(sys::read_file(dir + kMarker, 1UL << 16))));
  if (layer.key() != name) return fail(Error::of(ErrorKind::internal, "read", dir + kMarker, "of another layer"));
  struct stat st{};
  if (::stat((dir + "/fs").c_str(), &st) != 0) return fail(Error::sys("stat", dir + "/fs"));
  return layer;
}

Result<std::unique_ptr<LayerDir::Claim>> LayerDir::claim(const Digest& chain, const ClaimTerms& terms) {
  auto step_aside = [&](bool away) {
    if (terms.aside) terms.aside(away);
  };
  std::unique_lock lock(mutex_);
  while (!whole_.contains(chain) && claimed_.contains(chain)) {
    lock.unlock();
    step_aside(true);
    lock.lock();
    const bool free = wait_for(chain, terms.given_up, lock);
    lock.unlock();
    step_aside(false);  // may wait itself, and others may be faster
    if (!free || terms.given_up.stop_requested())
      return fail(Error::of(ErrorKind::cancelled, "wait for layer", chain.text(),
                            "another pull is making it, and nobody waits for this one any more"));
    lock.lock();
  }
  if (whole_.contains(chain)) return nullptr;
  claimed_[chain] = terms.wanted;
  return std::make_unique<Claim>(this, chain);
}

bool LayerDir::wait_for(const Digest& chain, const std::stop_token& given_up, std::unique_lock<std::mutex>& lock) {
  auto free = [&] { return whole_.contains(chain) || !claimed_.contains(chain); };
  if (free()) return true;
  waiting_[chain]++;
  if (const auto& wanted = claimed_.at(chain)) wanted();
  const bool freed = released_.wait(lock, given_up, free);
  if (--waiting_[chain] == 0) waiting_.erase(chain);
  return freed;
}

bool LayerDir::is_wanted(const Digest& chain) const {
  std::lock_guard lock(mutex_);
  return waiting_.contains(chain);
}

void LayerDir::release(const Digest& chain) {
  std::lock_guard lock(mutex_);
  claimed_.erase(chain);
  // Without a marker the next start removes it, should this fail.
  const std::string key = layer_key(chain);
  if (!whole_.contains(chain) && !unread_.contains(key)) (void)discard(key);
  released_.notify_all();
}

Result<> LayerDir::stage(Layer* layer, std::unique_ptr<ByteSource> blob, const Below& below,
                         const UnpackLimits& limits) {
  std::string temporary = kNew + random_hex(8), dir = paths_.layers + "/" + temporary;
  auto result = [&]() -> Result<> {
    TRY(sys::make_dir(dir, 0700));
    TRY(sys::make_dir(dir + "/fs", 0755));
    Fd root = TRY(sys::open(dir + "/fs", O_RDONLY | O_DIRECTORY));
    fault_point("open layer");
    if (::fchmod(root.get(), 0755) != 0) return fail(Error::sys("chmod", dir));
    std::vector<Layer> under;
    LowerLayers lower;
    lower.top = [&]() -> Result<Fd> {
      under = TRY(below());
      if (under.empty()) return Fd();
      return sys::open(paths_.layers + "/" + under.back().key() + "/fs", O_RDONLY | O_DIRECTORY);
    };
    lower.view = [&] { return mount_lower_view(paths_.layers, layer_stack(under), facts_); };
    layer->unpacked =
        TRY(unpack_layer(std::move(blob), layer->diff_id.text(), std::move(root), lower, layer->diff_id, limits));
    std::string place = paths_.layers + "/" + layer->key();
    if (sys::exists(place)) {  // one that could not be read, or what could not be discarded
      std::lock_guard lock(mutex_);
      TRY(retire(layer->key()));
    }
    fault_point("rename layer");
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
  keys_[layer.key()] = layer.chain;
  note_totals();
  released_.notify_all();
}

Result<std::vector<Layer>> LayerDir::chain_locked(const std::vector<Digest>& diff_ids) const {
  std::vector<Layer> out;
  Digest chain;
  for (const auto& diff_id : diff_ids) {
    chain = chain_id(chain, diff_id);
    out.push_back(TRY(whole_locked(chain)));
  }
  return out;
}

Result<Layer> LayerDir::whole_locked(const Digest& chain) const {
  auto it = whole_.find(chain);
  if (it != whole_.end()) return it->second;
  const std::string key = layer_key(chain);
  return fail(Error::of(ErrorKind::not_found, "layer", paths_.layers + "/" + key,
                        unread_.contains(key) ? "its layer.json could not be read at the start"
                                              : "it is lost or damaged; pulling or importing the image makes it anew"));
}

Result<Layer> LayerDir::whole(const Digest& chain) const {
  std::lock_guard lock(mutex_);
  return whole_locked(chain);
}

bool LayerDir::has(const Digest& chain) const {
  std::lock_guard lock(mutex_);
  return whole_.contains(chain);
}

Result<std::vector<Layer>> LayerDir::chain(const std::vector<Digest>& diff_ids) const {
  std::lock_guard lock(mutex_);
  return chain_locked(diff_ids);
}

Result<std::vector<Layer>> LayerDir::hold(const std::vector<Digest>& diff_ids, const std::string& container_dir) {
  std::lock_guard lock(mutex_);
  auto layers = TRY(chain_locked(diff_ids));
  if (layers.empty()) return layers;
  TRY(uses_.add(layers.back().key(), container_dir));
  return layers;
}

void LayerDir::note_totals() {
  LayerTotals sum;
  for (const auto& [chain, layer] : whole_) {
    sum.bytes += layer.unpacked.totals.bytes;
    sum.blocks += layer.unpacked.totals.blocks;
    sum.inodes += layer.unpacked.totals.inodes;
  }
  std::lock_guard lock(totals_mutex_);
  totals_ = sum;
}

LayerTotals LayerDir::totals() const {
  std::lock_guard lock(totals_mutex_);
  return totals_;
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
