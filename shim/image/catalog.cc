#include "shim/image/catalog.h"

#include <algorithm>

#include "common/json.h"

namespace podshim::image {
namespace {

constexpr std::size_t kShortestPrefix = 12;

json::Value texts(const std::vector<Digest>& digests) {
  json::Value out = json::Value::array();
  for (const auto& d : digests) out.push(d.text());
  return out;
}

json::Value names(const std::map<std::string, Digest>& names) {
  json::Value out = json::Value::object();
  for (const auto& [name, digest] : names) out.set(name, digest.text());
  return out;
}

Result<std::vector<Digest>> read_digests(const json::Reader& r, std::string_view name) {
  std::vector<Digest> out;
  for (const auto& text : TRY(r.strings(name))) out.push_back(TRY_IN(Digest::parse(text), r.field(name)));
  return out;
}

// Of tags ("tags") or of digest references ("digests"), each canonical.
Result<std::map<std::string, Digest>> read_names(const json::Reader& r, std::string_view name) {
  std::map<std::string, Digest> out;
  for (const auto& [key, text] : TRY(r.string_map(name))) {
    Reference ref = TRY(parse_reference(key));
    bool fits = name == "tags" ? ref.digest.empty() : ref.digest == text;
    if (ref.text() != key || !fits) return fail(r.error(name, "'" + key + "' is not canonical, or not one of these"));
    out[key] = TRY_IN(Digest::parse(text), r.field(name));
  }
  return out;
}

bool is_hex(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string repository_of(const std::string& canonical) {
  auto parsed = parse_reference(canonical);
  return parsed ? parsed->repository() : "";
}

}  // namespace

Image StoredImage::view() const {
  Image out{.id = id.text(), .size_bytes = size_bytes, .process = process};
  for (const auto& [tag, digest] : tags) out.repo_tags.push_back(tag);
  for (const auto& [name, digest] : digests) out.repo_digests.push_back(name);
  for (const auto& layer : diff_ids) out.layers.push_back(layer.text());
  return out;
}

std::string encode_record(const StoredImage& image) {
  json::Value v = json::Value::object();
  v.set("manifest", image.manifest.text()).set("tags", names(image.tags)).set("digests", names(image.digests));
  v.set("blobs", texts(image.blobs)).set("diff_ids", texts(image.diff_ids));
  if (image.imported) v.set("imported", true);
  return json::dump(v);
}

Result<StoredImage> decode_record(const Record& record) {
  json::Value v = TRY(json::parse(record.text));
  json::Reader r = TRY(json::Reader::of(v));
  StoredImage image;
  image.id = TRY(Digest::parse(record.id));
  image.manifest = TRY(Digest::parse(TRY(r.string("manifest"))));
  image.tags = TRY(read_names(r, "tags"));
  image.digests = TRY(read_names(r, "digests"));
  image.blobs = TRY(read_digests(r, "blobs"));
  image.diff_ids = TRY(read_digests(r, "diff_ids"));
  image.imported = TRY(r.boolean_or("imported", false));
  return image;
}

const StoredImage* Catalog::find_by_id(const std::string& text) const {
  bool named = text.starts_with("sha256:");
  std::string hex = named ? text.substr(7) : text;
  if (hex.empty() || hex.size() > 64 || !is_hex(hex) || hex.size() < kShortestPrefix) return nullptr;
  const StoredImage* found = nullptr;
  for (const auto& [id, image] : images_) {
    if (!id.hex().starts_with(hex)) continue;
    if (found != nullptr) return nullptr;  // not unique
    found = &image;
  }
  return found;
}

const StoredImage* Catalog::find(const std::string& reference) const {
  bool id = reference.starts_with("sha256:") || (reference.size() == 64 && is_hex(reference));
  if (!id) {
    if (auto ref = parse_reference(reference)) {
      const auto& names = ref->digest.empty() ? by_tag_ : by_digest_;
      if (auto it = names.find(ref->text()); it != names.end()) return &images_.at(it->second);
    }
  }
  return find_by_id(reference);
}

std::vector<Image> Catalog::list() const {
  std::vector<Image> out;
  out.reserve(images_.size());
  for (const auto& [id, image] : images_) out.push_back(image.view());
  return out;
}

void Catalog::put(StoredImage image, std::set<Digest>* touched) {
  touched->insert(image.id);
  if (auto old = images_.find(image.id); old != images_.end()) {  // the newer names win, the others stay
    image.tags.merge(old->second.tags);
    image.digests.merge(old->second.digests);
    image.blobs.insert(image.blobs.end(), old->second.blobs.begin(), old->second.blobs.end());
  }
  std::sort(image.blobs.begin(), image.blobs.end());
  image.blobs.erase(std::unique(image.blobs.begin(), image.blobs.end()), image.blobs.end());
  for (const auto& [tag, digest] : image.tags) {
    auto owner = by_tag_.find(tag);
    if (owner != by_tag_.end() && owner->second != image.id) {
      images_.at(owner->second).tags.erase(tag);
      touched->insert(owner->second);
    }
    by_tag_[tag] = image.id;
  }
  for (const auto& [name, digest] : image.digests) {
    auto owner = by_digest_.find(name);
    if (owner != by_digest_.end() && owner->second != image.id) {  // one manifest has one config: a record was wrong
      images_.at(owner->second).digests.erase(name);
      touched->insert(owner->second);
    }
    by_digest_[name] = image.id;
  }
  images_[image.id] = std::move(image);
}

void Catalog::erase(const Digest& id, std::vector<std::string>* removed) {
  const StoredImage& image = images_.at(id);
  for (const auto& [tag, digest] : image.tags) by_tag_.erase(tag);
  for (const auto& [name, digest] : image.digests) by_digest_.erase(name);
  removed->push_back(id.text());
  images_.erase(id);
}

Catalog::Change Catalog::add(const std::vector<StoredImage>& images) const {
  Change change{.next = *this};
  std::set<Digest> touched;
  for (const auto& image : images) change.next.put(image, &touched);
  for (const auto& id : touched) {
    change.put.push_back({id.text(), encode_record(change.next.images_.at(id))});
  }
  return change;
}

// Takes one tag, or one digest with the tags of its repository that name the same, off an image.
void Catalog::forget(StoredImage* image, const Reference& ref) {
  auto here = [&](const std::string& name) { return repository_of(name) == ref.repository(); };
  auto goes = [&](const auto& tag) {
    return ref.digest.empty() ? tag.first == ref.text() : tag.second.text() == ref.digest && here(tag.first);
  };
  for (const auto& tag : std::map(image->tags)) {
    if (!goes(tag)) continue;
    image->tags.erase(tag.first);
    by_tag_.erase(tag.first);
  }
  for (const auto& [name, target] : std::map(image->digests)) {
    if (!here(name) || (!ref.digest.empty() && target.text() != ref.digest)) continue;
    bool needed = std::any_of(image->tags.begin(), image->tags.end(),
                              [&, &t = target](const auto& tag) { return tag.second == t && here(tag.first); });
    if (needed) continue;
    image->digests.erase(name);
    by_digest_.erase(name);
  }
}

Catalog::Change Catalog::remove(const std::string& reference) const {
  Change change{.next = *this};
  const StoredImage* found = find(reference);
  if (found == nullptr) return change;
  Digest id = found->id;
  StoredImage& image = change.next.images_.at(id);
  auto ref = parse_reference(reference);
  bool by_tag = ref && ref->digest.empty() && image.tags.contains(ref->text());
  bool by_digest = ref && !ref->digest.empty() && image.digests.contains(ref->text());
  if (by_tag || by_digest) change.next.forget(&image, *ref);
  if ((!by_tag && !by_digest) || (image.tags.empty() && (by_tag || image.digests.empty()))) {
    change.next.erase(id, &change.removed);
  } else {
    change.put.push_back({id.text(), encode_record(image)});
  }
  return change;
}

}  // namespace podshim::image
