#include "podlet/object_source.h"

#include <set>

#include "common/sys/file.h"

namespace podshim::podlet {
namespace {

constexpr std::size_t kMaxFile = 8 << 20;

bool is_manifest(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

}  // namespace

void ObjectSource::read(const std::string& path, const std::string& shown, File& file, Report& report) {
  auto text = sys::read_file(path, kMaxFile);
  if (!text) {
    report.errors.push_back(text.error().text());
    file.incomplete = file.objects.empty();
    return;  // keeps what it said before
  }
  auto manifest = decode_manifest(*text, shown);
  // Those of applied objects were told by `apply`, with the names and lines that their author knows.
  if (!is_applied(path))
    for (auto& w : manifest.warnings) report.warnings.push_back(std::move(w));
  for (const auto& e : manifest.errors) report.errors.push_back(e.text);
  if (manifest.broken) {
    file.incomplete = file.objects.empty();
    return;
  }
  file.incomplete = false;
  auto before = std::move(file.objects);
  file.objects.clear();
  for (auto& o : manifest.objects) {
    auto key = o.key;
    file.objects.emplace(std::move(key), std::move(o));
  }
  for (const auto& e : manifest.errors) {
    auto old = e.key.name.empty() ? before.end() : before.find(e.key);
    if (old != before.end() && !file.objects.contains(e.key)) {
      file.objects.insert(before.extract(old));
    } else if (old == before.end()) {
      file.incomplete = true;
    }
  }
}

bool ObjectSource::scan_directory(const std::string& path, Report& report) {
  bool changed = false;
  auto names = sys::list_dir(path);
  if (!names) {
    if (auto text = names.error().text(); text != last_error_) report.errors.push_back(last_error_ = text);
    return false;
  }
  if (path == directory_) last_error_.clear();
  std::set<std::string> present;
  for (const auto& name : *names) {
    if (!is_manifest(name)) continue;
    auto full = path + "/" + name;
    struct stat st{};
    if (::stat(full.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    present.insert(full);
    Identity now{.inode = st.st_ino,
                 .size = static_cast<std::uint64_t>(st.st_size),
                 .mtime = st.st_mtim.tv_sec * 1'000'000'000L + st.st_mtim.tv_nsec};
    auto& file = files_[full];
    if (file.identity == now) continue;
    file.identity = now;
    changed = true;
    read(full, is_applied(full) ? "applied " + name : name, file, report);
  }
  changed |= std::erase_if(files_, [&](const auto& entry) {
               return entry.first.starts_with(path + "/") && !present.contains(entry.first);
             }) > 0;
  return changed;
}

void ObjectSource::merge(Report& report) {
  objects_.clear();
  owners_.clear();
  // The watched directory before what was applied; inside each by name.
  for (bool applied : {false, true}) {
    for (const auto& [path, file] : files_) {
      if (is_applied(path) != applied) continue;
      for (const auto& [key, object] : file.objects) {
        if (!objects_.emplace(key, object).second) {
          report.errors.push_back(object.file + ":" + std::to_string(object.line) + ": " + key.text() +
                                  " is already declared in " + objects_.at(key).file + "; this one is ignored");
        } else {
          owners_[key] = path;
        }
      }
    }
  }
}

ObjectSource::Report ObjectSource::scan() {
  Report report;
  bool changed = directory_.empty() ? false : scan_directory(directory_, report);
  if (!applied_.empty() && sys::exists(applied_)) changed |= scan_directory(applied_, report);
  report.changed = changed;
  if (changed) merge(report);
  return report;
}

std::string ObjectSource::applied_path(const ObjectKey& key) const {
  return applied_ + "/" + key.kind + "_" + key.name_space + "_" + key.name + ".json";
}

Result<> ObjectSource::put(const ManifestObject& object) {
  auto owner = owners_.find(object.key);
  if (owner != owners_.end() && !is_applied(owner->second))
    return fail(Error::of(ErrorKind::already_exists, "apply", object.key.text(),
                          "it is declared in " + owner->second + "; change it there"));
  TRY(sys::make_dirs(applied_, 0700));
  return sys::write_file_atomic(applied_path(object.key), json::dump(object.source, 1) + "\n", 0600);
}

Result<> ObjectSource::remove(const ObjectKey& key) {
  auto owner = owners_.find(key);
  if (owner == owners_.end()) return fail(Error::of(ErrorKind::not_found, "delete", key.text(), "it is not declared"));
  if (!is_applied(owner->second))
    return fail(Error::of(ErrorKind::failed_precondition, "delete", key.text(),
                          "it is declared in " + owner->second + "; remove it there"));
  return sys::remove_file(owner->second);
}

}  // namespace podshim::podlet
