#include "shim/state/instance.h"

#include <unistd.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/lock.h"
#include "shim/state/journal.h"
#include "shim/state/quarantine.h"

namespace podshim::state {
namespace {

constexpr std::string_view kPrefix = "podshim-";
constexpr std::size_t kIdSize = 6, kMaxFile = 8192;

Result<Fd> lock(const std::string& dir) {
  std::string path = dir + "/lock";
  fault_point("open lock");
  Fd fd = TRY(sys::open(path, O_RDWR | O_CREAT, 0600));
  if (!TRY(sys::lock_file(fd, path))) {
    std::string owner = sys::read_file(path, 64).value_or("");
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    Error e = Error::of(ErrorKind::unavailable, "lock", dir, "another podshim runs on this directory, pid " + owner);
    e.code = EWOULDBLOCK;
    return fail(std::move(e));
  }
  if (::ftruncate(fd.get(), 0) != 0) return fail(Error::sys("ftruncate", path));
  // A full disk must not keep the daemon from starting: the pid is for the message alone.
  (void)sys::write_all(fd, std::to_string(::getpid()) + "\n", path);
  return fd;
}

bool is_instance_id(std::string_view text) {
  return text.size() == kIdSize && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The text of a small file; nothing when there is none, "" when it is longer than any of ours.
Result<std::optional<std::string>> read_small(const std::string& path) {
  auto text = sys::read_file(path, kMaxFile);
  if (!text && text.error().is(ENOENT)) return std::nullopt;
  if (!text && text.error().is(EFBIG)) return "";
  if (!text) return fail(std::move(text).error().within("find the instance id"));
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *std::move(text);
}

std::string copy_of(const std::string& id, const std::string& root) { return id + " " + root; }

// Its own, else that in "/run/netns/podshim-<id>-<sandbox id>"; "": it has neither.
std::string id_of(const SandboxRecord& record) {
  if (is_instance_id(record.instance)) return record.instance;
  std::string_view path = record.netns_path;
  path.remove_prefix(path.rfind('/') + 1);
  if (!path.starts_with(kPrefix)) return {};
  path.remove_prefix(kPrefix.size());
  return is_instance_id(path.substr(0, kIdSize)) ? std::string(path.substr(0, kIdSize)) : "";
}

}  // namespace

Result<Instance> Instance::open(const std::string& root, const std::string& state) {
  TRY(sys::make_dirs(root, 0711));
  TRY(sys::make_dirs(state, 0711));
  Instance out;
  out.root_lock_ = TRY(lock(root));
  if (root != state) out.state_lock_ = TRY(lock(state));

  const std::string copy = state + "/instance-copy";
  auto text = TRY(read_small(root + "/instance"));
  if (text && is_instance_id(*text))
    out.id_ = *std::move(text);
  else
    TRY(out.replace(root, copy, text ? "not 6 hex digits" : ""));

  const std::string wanted = copy_of(out.id_, root) + "\n";
  // Without it the records are asked: a full disk must not keep the daemon from starting.
  if (sys::read_file(copy, kMaxFile).value_or("") != wanted) (void)sys::write_file_atomic(copy, wanted, 0644);
  return out;
}

// `why` is "" when the file is missing, as it is at the first start.
Result<> Instance::replace(const std::string& root, const std::string& copy, const std::string& why) {
  std::string from;
  const std::string kept = TRY(read_small(copy)).value_or("");
  const std::string kept_id = kept.substr(0, kIdSize);
  const Journal journal = TRY(Journal::open(root));
  if (is_instance_id(kept_id) && kept == copy_of(kept_id, root)) {
    id_ = kept_id;
    from = copy;
  } else {
    for (const auto& record : TRY(journal.peek_sandboxes()))
      if (id_.empty()) id_ = id_of(record);
    from = "the records";
  }
  const bool found = !id_.empty();
  if (!found) id_ = random_hex(kIdSize / 2);
  if (found || !why.empty())
    replaced_ =
        (why.empty() ? "missing" : why) +
        (found ? "; " + id_ + " is from " + from : "; " + id_ + " is new: neither a copy nor a record has the old one");
  const std::string path = root + "/instance";
  if (!why.empty()) Quarantine(root + "/quarantine").take("instance", path, replaced_);
  auto written = sys::write_file_atomic(path, id_ + "\n", 0644, /*durable=*/true);
  return found ? Result<>() : written;
}

}  // namespace podshim::state
