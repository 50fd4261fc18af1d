#include "netproxy/source_directory.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <utility>

#include "common/log.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::netproxy {
namespace {

constexpr auto kAgain = std::chrono::seconds(1);

}  // namespace

Result<SourceDirectory> SourceDirectory::open(std::string path) {
  SourceDirectory out(std::move(path));
  TRY(sys::make_dirs(out.path_));
  out.inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!out.inotify_) return fail(Error::sys("inotify_init1", out.path_));
  TRY(out.watch());
  return out;
}

Result<bool> SourceDirectory::watch() {
  constexpr std::uint32_t kEvents =
      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  const int now = ::inotify_add_watch(inotify_.get(), path_.c_str(), kEvents);
  if (now < 0) return fail(Error::sys("inotify_add_watch", path_));
  const int before = std::exchange(watch_, now);
  if (before >= 0 && before != now) ::inotify_rm_watch(inotify_.get(), before);  // EINVAL: it went with its directory
  return before != now;
}

Result<> SourceDirectory::scan(Tracker& tracker) {
  auto names = TRY(sys::list_dir(path_));
  std::set<std::string> there(names.begin(), names.end());
  std::vector<std::string> gone;
  for (const auto* map : {&files_, &doubles_})
    for (const auto& [name, object] : *map)
      if (!there.contains(name)) gone.push_back(name);
  for (const auto& name : gone) forget(name, tracker);
  std::erase_if(names, [](const std::string& name) { return !is_object_file(name); });
  auto files = read_object_files(path_, names);
  for (std::size_t i = 0; i < names.size(); i++) take(names[i], std::move(files[i]), tracker);
  return {};
}

Result<> SourceDirectory::read_events(Tracker& tracker) {
  alignas(inotify_event) char buffer[65536];
  bool lost = again_at_.has_value();
  // A file written beside and renamed is told of twice (moved here, and closed under its new name): it is read once.
  std::set<std::string> changed;
  for (;;) {
    ssize_t n = sys::retry([&] { return ::read(inotify_.get(), buffer, sizeof buffer); });
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return fail(Error::sys("read", "inotify of " + path_));
    for (char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) lost = true;
      if (event->wd != watch_) continue;  // of the one before
      if ((event->mask & IN_MOVE_SELF) != 0) ::inotify_rm_watch(inotify_.get(), watch_);
      if ((event->mask & (IN_MOVE_SELF | IN_IGNORED)) != 0) watch_ = -1;
      std::string name = event->len != 0 ? event->name : "";
      if (is_object_file(name)) changed.insert(std::move(name));
    }
  }
  for (const auto& name : changed) load(name, tracker);  // one that is gone is forgotten there
  // Under the name there may be another directory by now; of the old one's end nobody tells while somebody has it open.
  const auto is_new = watch();
  if (is_new && !*is_new && !lost) return {};
  if (!again_at_) log::warn("directory events were lost: reading all of it", {{"source", path_}});
  again_at_ = Clock::now() + kAgain;  // unless it goes well
  TRY(scan(tracker));
  TRY(is_new);
  again_at_.reset();
  return {};
}

void SourceDirectory::load(const std::string& name, Tracker& tracker) {
  take(name, read_object_file(path_, name), tracker);
}

void SourceDirectory::take(const std::string& name, ObjectFile file, Tracker& tracker) {
  if (file.missing) return forget(name, tracker);
  auto now = Clock::now();
  if (file.error) {
    log::error("file not used", {{"file", path_ + "/" + name}, {"error", file.error->text()}});
    return;
  }
  if (auto* service = std::get_if<kube::Service>(&file.object)) {
    if (claim(name, {Kind::service, service->meta.key()}, tracker)) tracker.set(std::move(*service), now);
  } else if (auto* slice = std::get_if<kube::EndpointSlice>(&file.object)) {
    if (claim(name, {Kind::slice, slice->meta.key()}, tracker)) tracker.set(std::move(*slice), now);
  } else {
    forget(name, tracker);
    log::warn("kind not used here", {{"file", path_ + "/" + name}, {"kind", file.other_kind}});
  }
  report_unknown(name, file.unknowns);
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
