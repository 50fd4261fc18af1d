#include "shim/apply/cgroup.h"

#include <algorithm>
#include <set>
#include <thread>

#include "common/sys/bpf.h"
#include "common/sys/file.h"

namespace podshim {
namespace {

using Kind = CgroupStep::Kind;

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// The kernel's word about a value is the caller's mistake when the value came from a request.
Error write_error(const CgroupStep& step, int err) {
  if (!step.field.empty() && (err == EINVAL || err == ERANGE || err == EBUSY)) {
    Error out =
        Error::invalid(step.field, "\"" + step.value + "\" is refused by " + step.path + ": " + errno_name(err));
    out.code = err;
    return out;
  }
  return Error::sys("write cgroup", step.path, step.value, err);
}

// Several writes to one file (devices.allow) in a row use one fd.
class Writer {
 public:
  Result<> write(const CgroupStep& step) {
    if (path_ != step.path || !fd_) {
      path_ = step.path;
      auto opened = sys::open(step.path, O_WRONLY);
      if (!opened) return fail(std::move(opened).error());
      fd_ = std::move(*opened);
    }
    if (auto r = sys::write_all(fd_, step.value, step.path); !r) return fail(write_error(step, r.error().code));
    return {};
  }

 private:
  std::string path_;
  Fd fd_;
};

Result<> inherit(const CgroupStep& step) {
  if (!trimmed(TRY(sys::read_file(step.path))).empty()) return {};
  const std::string directory = directory_of(step.path);
  const std::string parent = directory_of(directory) + step.path.substr(directory.size());
  const std::string value = trimmed(TRY(sys::read_file(parent)));
  if (value.empty()) return fail(Error::sys("inherit cgroup", parent, step.path, ENODEV));  // made anew just now
  return sys::write_file(step.path, value);
}

std::set<std::string> words(const std::string& text) {
  std::set<std::string> out;
  for (std::size_t from = 0; from < text.size();) {
    auto to = std::min(text.find_first_of(" \n", from), text.size());
    if (to > from) out.insert(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

Result<> enable(const CgroupStep& step) {
  const std::string file = step.path + "/cgroup.subtree_control";
  const auto on = words(TRY(sys::read_file(file)));
  std::string missing;
  for (const auto& word : words(step.value))  // "+cpu"
    if (!on.contains(word.substr(1))) missing += (missing.empty() ? "" : " ") + word;
  if (missing.empty()) return {};
  auto r = sys::write_file(file, missing);
  if (r) return {};
  Error error = std::move(r).error();
  if (error.is(EBUSY)) error.detail = "processes live in " + step.path + " itself, so it cannot hand out controllers";
  if (error.is(ENOENT)) error.detail = "a controller of \"" + missing + "\" is not enabled above " + step.path;
  return fail(std::move(error));
}

Result<> run_step(const CgroupStep& step, Writer& writer) {
  switch (step.kind) {
    case Kind::make_dir:
      return sys::make_dir(step.path);
    case Kind::inherit:
      return inherit(step);
    case Kind::enable:
      return enable(step);
    case Kind::write:
      return writer.write(step);
  }
  return {};
}

Result<CgroupApplied> run_steps(const CgroupPlan& plan) {
  CgroupApplied out;
  Writer writer;
  for (const auto& step : plan.steps) {
    auto r = run_step(step, writer);
    if (r) continue;
    if (!step.may_fail) return fail(std::move(r).error());
    out.tolerated.push_back(std::move(r).error());
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<const Fd>> DevicePrograms::load(const std::string& program) {
  std::lock_guard lock(mutex_);
  if (auto it = loaded_.find(program); it != loaded_.end())
    if (auto fd = it->second.lock()) return fd;
  auto fd = std::make_shared<const Fd>(TRY(sys::load_device_program(program)));
  std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
  loaded_[program] = fd;
  recent_ = fd;
  return fd;
}

Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan, DevicePrograms& programs) {
  // A parent of ours was removed as empty between two steps (remove_cgroup): all is made again.
  constexpr int kTries = 20;
  // EEXIST: it was there for mkdir(2) and gone for the look at it.
  auto gone = [](const Error& e) { return e.is(ENOENT) || e.is(ENODEV) || e.is(EEXIST); };
  auto applied = run_steps(plan);
  for (int i = 1; i < kTries && !applied && gone(applied.error()); i++) {
    std::this_thread::sleep_for(std::chrono::microseconds(50 * i));
    applied = run_steps(plan);
  }
  if (!applied) return applied;
  if (!plan.device_program.empty()) {
    auto program = TRY(programs.load(plan.device_program));
    Fd directory = TRY(sys::open(plan.paths.v2, O_RDONLY | O_DIRECTORY));
    TRY_IN(sys::attach_device_program(*program, directory), plan.paths.v2);
  }
  return applied;
}

Result<Fd> open_cgroup(const CgroupPaths& paths) {
  if (paths.version == CgroupVersion::v1) return Fd();
  return sys::open(paths.v2, O_RDONLY | O_DIRECTORY);
}

Result<std::vector<std::string>> list_cgroups(const HostFacts& host, const std::string& parent,
                                              const std::string& instance) {
  std::vector<std::string> roots;
  if (host.cgroup == CgroupVersion::v2) roots.push_back(host.cgroup_v2_root);
  for (const auto& [name, mount] : host.cgroup_v1_mounts)
    if (host.cgroup == CgroupVersion::v1) roots.push_back(mount);
  const std::string prefix = cgroup_leaf(instance, "");
  std::set<std::string> out;
  for (const auto& root : roots) {
    auto names = sys::list_dir(root + parent);
    if (!names && names.error().is(ENOENT)) continue;
    if (!names) return fail(std::move(names).error());
    for (auto& name : *names)
      if (name.starts_with(prefix)) out.insert(std::move(name));
  }
  return std::vector<std::string>(out.begin(), out.end());
}

}  // namespace podshim
