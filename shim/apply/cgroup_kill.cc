// Killing and removing, loops against processes that are on their way out; and finding what is to be removed.
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <thread>

#include "common/fault.h"
#include "common/sys/file.h"
#include "shim/apply/cgroup.h"

namespace podshim {
namespace {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

// Waits of 50 us, doubled up to 5 ms: a killed process is usually gone within the first two.
class Backoff {
 public:
  explicit Backoff(Deadline deadline) : deadline_(deadline) {}
  bool wait() {
    if (Clock::now() >= deadline_) return false;
    std::this_thread::sleep_for(next_);
    next_ = std::min<std::chrono::microseconds>(next_ * 2, std::chrono::milliseconds(5));
    return true;
  }

 private:
  Deadline deadline_;
  std::chrono::microseconds next_{50};
};

bool is_gone(const Error& e) { return e.is(ENOENT) || e.is(ENODEV); }

Result<std::vector<std::string>> child_directories(const std::string& dir) {
  std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })> open(::opendir(dir.c_str()));
  if (!open) {
    if (errno == ENOENT) return std::vector<std::string>{};
    return fail(Error::sys("open", dir));
  }
  std::vector<std::string> out;
  while (dirent* entry = ::readdir(open.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") out.push_back(dir + "/" + name);
  }
  return out;
}

constexpr const char kProcesses[] = "/cgroup.procs", kThreads[] = "/cgroup.threads";

// cgroups(7), "Threaded mode": the list of processes can be read in the threaded domain alone, where it has those of
// the whole subtree, and not below it. Who looks at a threaded cgroup itself goes by its threads.
const char* list_of(const std::string& dir) {
  auto text = sys::read_file(dir + kProcesses);
  return !text && text.error().is(EOPNOTSUPP) ? kThreads : kProcesses;
}

Result<> add_pids(const std::string& dir, const char* list, std::vector<pid_t>& out) {
  auto text = sys::read_file(dir + list);
  if (!text && is_gone(text.error())) return {};
  if (!text && !text.error().is(EOPNOTSUPP)) return fail(std::move(text).error());  // its domain's list has them
  const char* at = text ? text->data() : nullptr;
  const char* end = text ? at + text->size() : nullptr;
  while (at != end) {
    pid_t pid = 0;
    auto [next, ec] = std::from_chars(at, end, pid);
    if (ec == std::errc{} && pid > 0) out.push_back(pid);
    at = next == end ? end : next + 1;
  }
  for (const auto& child : TRY(child_directories(dir))) TRY(add_pids(child, list, out));
  return {};
}

// The directory that kills go by: on v1 the freezer's.
std::string kill_directory(const CgroupPaths& paths) {
  if (paths.version == CgroupVersion::v2) return paths.v2;
  if (auto it = paths.v1.find("freezer"); it != paths.v1.end()) return it->second;
  return paths.v1.empty() ? "" : paths.v1.begin()->second;
}

// Frozen, nothing forks away between reading the list and the signal. The kernel freezes a little after the write
// (cgroup-v2.rst, freezer-subsystem.rst): what forks meanwhile is met in the next round, and for a pid to be somebody
// else's by then the numbers would have to go round in that time.
void set_frozen(const CgroupPaths& paths, bool frozen) {
  const std::string dir = kill_directory(paths);
  if (paths.version == CgroupVersion::v2) {
    (void)sys::write_file(dir + "/cgroup.freeze", frozen ? "1" : "0");
  } else if (paths.v1.contains("freezer")) {
    (void)sys::write_file(dir + "/freezer.state", frozen ? "FROZEN" : "THAWED");
  }
}

Result<> kill_by_freezing(const CgroupPaths& paths, Deadline deadline) {
  Backoff backoff(deadline);
  for (;;) {
    auto pids = TRY(cgroup_pids(paths));
    if (pids.empty()) return {};
    set_frozen(paths, true);
    auto frozen = cgroup_pids(paths);
    if (frozen)
      for (pid_t pid : *frozen) ::kill(pid, SIGKILL);  // of a thread: its process
    set_frozen(paths, false);                          // on v1 the signal works only then
    if (!frozen) return fail(std::move(frozen).error());
    if (!backoff.wait()) break;
  }
  return fail(
      Error::of(ErrorKind::deadline_exceeded, "kill cgroup", paths.path, "processes stay: uninterruptible sleep?"));
}

Result<> kill_v2(const CgroupPaths& paths, Deadline deadline) {
  auto r = sys::write_file(paths.v2 + "/cgroup.kill", "1");
  if (!r && is_gone(r.error())) return {};
  // Threaded: the kernel kills processes, and theirs may have threads in other cgroups (cgroup-v2.rst, "cgroup.kill").
  if (!r && r.error().is(EOPNOTSUPP)) return kill_by_freezing(paths, deadline);
  if (!r) return r;
  Backoff backoff(deadline);
  while (TRY(cgroup_populated(paths)))
    if (!backoff.wait())
      return fail(
          Error::of(ErrorKind::deadline_exceeded, "kill cgroup", paths.path, "processes stay: uninterruptible sleep?"));
  return {};
}

Result<> remove_directory(const std::string& dir, Backoff& backoff) {
  for (;;) {
    fault_point("remove cgroup");
    if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY && errno != ENOTEMPTY) return fail(Error::sys("rmdir", dir));
    for (const auto& child : TRY(child_directories(dir))) TRY(remove_directory(child, backoff));
    fault_point("remove cgroup");
    if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) return {};
    if (!backoff.wait()) return fail(Error::sys("rmdir", dir, {}, EBUSY));
  }
}

// The default parent and the monitors' are ours: they go with their last child. Never a kubelet's.
void remove_empty_parent(const CgroupPaths& paths, const std::string& dir) {
  const std::string parent = dir.substr(0, dir.rfind('/'));
  if (parent.size() + paths.path.size() <= dir.size()) return;  // the mount point
  fault_point("remove empty parent");
  if (parent.substr(parent.rfind('/') + 1).starts_with("podshim")) ::rmdir(parent.c_str());
}

}  // namespace

Result<std::vector<pid_t>> cgroup_pids(const CgroupPaths& paths) {
  std::vector<pid_t> out;
  if (const std::string dir = kill_directory(paths); !dir.empty())
    TRY(add_pids(dir, paths.version == CgroupVersion::v2 ? list_of(dir) : kProcesses, out));
  return out;
}

Result<bool> cgroup_populated(const CgroupPaths& paths) {
  if (paths.version == CgroupVersion::v1) return !TRY(cgroup_pids(paths)).empty();
  auto text = sys::read_file(paths.v2 + "/cgroup.events");
  if (!text && is_gone(text.error())) return false;
  if (!text) return fail(std::move(text).error());
  return text->find("populated 1") != std::string::npos;
}

Result<> kill_cgroup(const CgroupPaths& paths, bool use_cgroup_kill, std::chrono::milliseconds deadline) {
  const Deadline until = Clock::now() + deadline;
  if (paths.version == CgroupVersion::v2 && use_cgroup_kill) return kill_v2(paths, until);
  return kill_by_freezing(paths, until);
}

Result<> remove_cgroup(const CgroupPaths& paths, std::chrono::milliseconds deadline) {
  Backoff backoff(Clock::now() + deadline);
  for (const auto& dir : paths.directories()) {
    TRY(remove_directory(dir, backoff));
    remove_empty_parent(paths, dir);
  }
  return {};
}

Result<std::vector<std::string>> find_cgroup_parents(const HostFacts& host, const std::string& instance) {
  const std::string prefix = cgroup_leaf(instance, "");
  std::set<std::string> out;
  for (const auto& root : pod_cgroup_paths(host, "").directories()) {
    std::vector<std::string> left = {root};
    while (!left.empty()) {
      const std::string parent = std::move(left.back());
      left.pop_back();
      for (auto& child : TRY(child_directories(parent))) {
        if (child.substr(parent.size() + 1).starts_with(prefix))
          out.insert(parent == root ? "/" : parent.substr(root.size()));
        else
          left.push_back(std::move(child));
      }
    }
  }
  return std::vector<std::string>(out.begin(), out.end());
}

}  // namespace podshim
