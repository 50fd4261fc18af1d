#include "netproxy/source_directory.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"
#include "common/yaml.h"

namespace podshim::netproxy {
namespace {

constexpr std::size_t kMaxFile = 16UL << 20;

bool is_json(std::string_view name) { return name.ends_with(".json"); }
bool is_object_file(std::string_view name) {
  return !name.starts_with('.') && (is_json(name) || name.ends_with(".yaml") || name.ends_with(".yml"));
}

Result<json::Value> one_document(const std::string& text, const std::string& file) {
  auto documents = TRY(yaml::parse_all(text, file));
  if (documents.size() != 1)
    return fail(Error::invalid(file, "holds " + std::to_string(documents.size()) + " objects; one a file is expected"));
  return std::move(documents.front());
}

}  // namespace

Result<SourceDirectory> SourceDirectory::open(std::string path) {
  SourceDirectory out(std::move(path));
  TRY(out.watch());
  return out;
}

Result<> SourceDirectory::watch() {
  TRY(sys::make_dirs(path_));
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail(Error::sys("inotify_init1", path_));
  constexpr std::uint32_t kEvents =
      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (::inotify_add_watch(fd.get(), path_.c_str(), kEvents) < 0) return fail(Error::sys("inotify_add_watch", path_));
  inotify_ = std::move(fd);
  return {};
}

Result<> SourceDirectory::scan(Tracker& tracker) {
  auto names = TRY(sys::list_dir(path_));
  std::set<std::string> there(names.begin(), names.end());
  std::vector<std::string> gone;
  for (const auto* map : {&files_, &doubles_})
    for (const auto& [name, object] : *map)
      if (!there.contains(name)) gone.push_back(name);
  for (const auto& name : gone) forget(name, tracker);
  for (const auto& name : names)
    if (is_object_file(name)) load(name, tracker);
  return {};
}

Result<> SourceDirectory::read_events(Tracker& tracker) {
  alignas(inotify_event) char buffer[65536];
  bool rescan = false, rewatch = false;
  // A file written beside and renamed is told of twice (moved here, and closed under its new name): it is read once.
  std::set<std::string> changed;
  for (;;) {
    ssize_t n = sys::retry([&] { return ::read(inotify_.get(), buffer, sizeof buffer); });
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return fail(Error::sys("read", "inotify of " + path_));
    for (char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) rescan = true;
      if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) rewatch = true;
      std::string name = event->len != 0 ? event->name : "";
      if (is_object_file(name)) changed.insert(std::move(name));
    }
  }
  for (const auto& name : changed) load(name, tracker);  // one that is gone is forgotten there
  if (rewatch) TRY(watch());
  if (rescan || rewatch) {
    log::warn("directory events were lost: reading all of it", {{"source", path_}});
    return scan(tracker);
  }
  return {};
}

void SourceDirectory::load(const std::string& name, Tracker& tracker) {
  auto path = path_ + "/" + name;
  auto text = sys::read_file(path, kMaxFile);
  if (!text && text.error().is(ENOENT)) return forget(name, tracker);
  Result<> done;
  if (text) {
    done = load_text(name, *text, tracker);
  } else {
    done = fail(std::move(text).error());
  }
  if (!done) log::error("file not used", {{"file", path}, {"error", done.error().text()}});
}

Result<> SourceDirectory::load_text(const std::string& name, const std::string& text, Tracker& tracker) {
  auto path = path_ + "/" + name;
  if (!is_json(name)) return decode(name, TRY(one_document(text, path)), tracker);
  // The JSON reader is fast and knows no lines. JSON is YAML too, and that reader tells where an error is.
  auto document = json::parse(text);
  if (!document) {
    TRY(one_document(text, path));
    return fail(std::move(document).error().within(path));
  }
  auto done = decode(name, *document, tracker);
  if (done) return done;
  auto with_lines = one_document(text, path);
  return with_lines ? decode(name, *with_lines, tracker) : done;
}

Result<> SourceDirectory::decode(const std::string& name, const json::Value& document, Tracker& tracker) {
  auto reader = TRY(json::Reader::of(document, "", path_ + "/" + name));
  auto type = TRY(kube::decode_type(reader));
  kube::Unknowns unknowns;
  auto now = Clock::now();
  if (type.kind == "Service") {
    auto service = TRY(kube::decode_service(reader, unknowns));
    if (claim(name, {Kind::service, service.meta.key()}, tracker)) tracker.set(std::move(service), now);
  } else if (type.kind == "EndpointSlice") {
    auto slice = TRY(kube::decode_endpoint_slice(reader, unknowns));
    if (claim(name, {Kind::slice, slice.meta.key()}, tracker)) tracker.set(std::move(slice), now);
  } else {
    forget(name, tracker);
    log::warn("kind not used here", {{"file", path_ + "/" + name}, {"kind", type.kind}});
  }
  report_unknown(name, unknowns);
  return {};
}

bool SourceDirectory::claim(const std::string& name, Object object, Tracker& tracker) {
  if (auto it = files_.find(name); it != files_.end() && it->second != object) forget(name, tracker);
  auto [owner, is_new] = owners_.try_emplace(object, name);
  if (!is_new && owner->second != name) {
    log::warn("object is in another file already",
              {{"file", path_ + "/" + name}, {"object", object.key}, {"other", owner->second}});
    doubles_[name] = std::move(object);
    return false;
  }
  doubles_.erase(name);
  files_[name] = std::move(object);
  return true;
}

void SourceDirectory::forget(const std::string& name, Tracker& tracker) {
  reported_.erase(name);
  doubles_.erase(name);
  auto it = files_.find(name);
  if (it == files_.end()) return;
  Object object = std::move(it->second);
  files_.erase(it);
  owners_.erase(object);
  release(object, tracker);
}

void SourceDirectory::release(const Object& object, Tracker& tracker) {
  auto now = Clock::now();
  object.kind == Kind::service ? tracker.remove_service(object.key, now) : tracker.remove_slice(object.key, now);
  for (const auto& [name, other] : doubles_) {
    if (other != object) continue;
    auto next = name;  // load() changes the map
    return load(next, tracker);
  }
}

void SourceDirectory::report_unknown(const std::string& name, const kube::Unknowns& unknowns) {
  std::string all;
  for (const auto& field : unknowns) (all += all.empty() ? "" : ", ") += field;
  auto hash = std::hash<std::string>{}(all);
  if (all.empty()) {
    reported_.erase(name);
  } else if (auto& last = reported_[name]; last != hash) {
    last = hash;
    log::warn("fields not used", {{"file", path_ + "/" + name}, {"fields", all}});
  }
}

}  // namespace podshim::netproxy
