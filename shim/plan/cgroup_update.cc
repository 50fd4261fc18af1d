#include "shim/plan/cgroup_update.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace podshim {
namespace {

constexpr std::string_view kCreateField = "config.linux.resources.", kUpdateField = "linux.";
constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kV1NoLimit = std::int64_t{1} << 62;  // v1 shows "no limit" as the largest page-aligned number

// The field lists of a creation and an update differ in their path alone.
std::string update_field(const std::string& field) {
  return field.starts_with(kCreateField) ? std::string(kUpdateField) + field.substr(kCreateField.size()) : field;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// A limit; "max" and negative ones are the largest number. No value: it is none.
std::optional<std::int64_t> limit_of(std::string_view text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text == "max") return kNoLimit;
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value < 0 || value >= kV1NoLimit ? kNoLimit : value;
}

bool same_value(const std::string& a, const std::string& b) {
  const auto first = limit_of(a), second = limit_of(b);
  return a == b || (first && first == second);
}

std::int64_t value_of(std::string_view text, std::string_view key) {  // of a line "key value"
  for (std::size_t at = 0; at < text.size();) {
    auto line = text.substr(at, text.find('\n', at) - at);
    if (line.size() > key.size() && line[key.size()] == ' ' && line.starts_with(key))
      return limit_of(line.substr(key.size() + 1)).value_or(0);
    at += line.size() + 1;
  }
  return 0;
}

// The writes of a new cgroup with these limits; those that a `unified` key overrules are left out.
Result<std::vector<CgroupStep>> wanted_writes(const HostFacts& host, const CgroupPaths& paths,
                                              const Resources& wanted) {
  auto plan = plan_container_cgroup(host, paths, {.resources = wanted, .devices = {.allow_all = true}});
  if (!plan) {
    plan.error().subject = update_field(plan.error().subject);
    return fail(std::move(plan).error());
  }
  std::vector<CgroupStep> out;
  for (auto& step : plan->steps) {
    if (step.kind != CgroupStep::Kind::write) continue;
    std::erase_if(out, [&](const CgroupStep& s) { return s.path == step.path && s.field != step.field; });
    step.field = update_field(step.field);
    step.may_fail = false;  // only for files that are not there: those are seen
    out.push_back(std::move(step));
  }
  return out;
}

using Steps = std::vector<CgroupStep>;

Steps::iterator find_file(Steps& steps, std::string_view name) {
  return std::find_if(steps.begin(), steps.end(), [&](const CgroupStep& s) { return base_name(s.path) == name; });
}

// `first` and `second` stand in this order: the other one first.
void swap_order(Steps& steps, std::string_view first, std::string_view second) {
  auto a = find_file(steps, first), b = find_file(steps, second);
  if (a != steps.end() && b != steps.end()) std::iter_swap(a, b);
}

std::int64_t limit_in(const CgroupContents& now, const Steps& steps, Steps::const_iterator step) {
  auto found = step == steps.end() ? now.end() : now.find(step->path);
  return found == now.end() ? kNoLimit : limit_of(found->second).value_or(kNoLimit);
}

// v1 takes each file by itself and checks it against the others as they are at that moment.
void order_v1(Steps& steps, const CgroupContents& now) {
  // memory <= memory + swap holds at every moment: a limit above the present sum has to wait for the sum to be raised.
  auto both = find_file(steps, "memory.memsw.limit_in_bytes"), memory = find_file(steps, "memory.limit_in_bytes");
  if (both != steps.end() && memory != steps.end() && limit_of(memory->value).value_or(0) > limit_in(now, steps, both))
    swap_order(steps, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
  // quota / period may not exceed the parent's. The period first when it grows, else the quota: then what is in force
  // between the two writes is never more than before or after both.
  auto period = find_file(steps, "cpu.cfs_period_us");
  if (period != steps.end() && limit_of(period->value).value_or(0) < limit_in(now, steps, period))
    swap_order(steps, "cpu.cfs_period_us", "cpu.cfs_quota_us");
}

// What stays when everything that can be dropped or written back to files is.
Result<> check_use(const Steps& steps, const CgroupPaths& paths, const CgroupContents& now) {
  const std::string file = paths.v2 + "/memory.max";
  auto step = std::find_if(steps.begin(), steps.end(), [&](const CgroupStep& s) { return s.path == file; });
  if (step == steps.end()) return {};
  const auto limit = limit_of(step->value).value_or(kNoLimit);
  auto current = now.find(paths.v2 + "/memory.current"), stat = now.find(paths.v2 + "/memory.stat");
  if (limit >= limit_in(now, steps, step) || current == now.end() || stat == now.end()) return {};
  std::int64_t used = limit_of(current->second).value_or(0);
  for (const char* reclaimable : {"active_file", "inactive_file", "slab_reclaimable"})
    used -= value_of(stat->second, reclaimable);
  if (used <= limit) return {};
  Error error = Error::of(ErrorKind::failed_precondition, "update cgroup", step->field,
                          step->value + " is below the " + std::to_string(used) +
                              " bytes that the container uses and that cannot be reclaimed");
  error.code = EBUSY;
  return fail(std::move(error));
}

Error bad_swap(std::int64_t both, const std::string& why) {
  return Error::invalid(std::string(kUpdateField) + "memory_swap_limit_in_bytes", std::to_string(both) + " " + why);
}

}  // namespace

std::string CgroupUpdatePlan::print() const {
  std::string out;
  for (const auto& [step, before] : writes)
    out += "write " + step.path + " = " + step.value + " (was " + before + ")\n";
  return out;
}

Result<Resources> merge_resources(const Resources& now, const Resources& change) {
  Resources out = now;
  auto take = [](std::int64_t& to, std::int64_t from) {
    if (from != 0) to = from;
  };
  take(out.cpu_period_us, change.cpu_period_us);
  take(out.cpu_quota_us, change.cpu_quota_us);
  take(out.cpu_shares, change.cpu_shares);
  take(out.memory_limit_bytes, change.memory_limit_bytes);
  take(out.memory_swap_limit_bytes, change.memory_swap_limit_bytes);
  if (!change.cpuset_cpus.empty()) out.cpuset_cpus = change.cpuset_cpus;
  if (!change.cpuset_mems.empty()) out.cpuset_mems = change.cpuset_mems;
  for (const auto& [key, value] : change.unified) out.unified[key] = value;
  auto& limit = out.memory_limit_bytes;
  auto& both = out.memory_swap_limit_bytes;
  if (change.memory_limit_bytes != 0 && change.memory_swap_limit_bytes == 0 && both > 0) {
    if (limit < 0)
      both = -1;
    else if (now.memory_limit_bytes > 0)
      both = limit + (both - now.memory_limit_bytes);
    else
      both = std::max(both, limit);
  }
  if (both > 0 && limit < 0) return fail(bad_swap(both, "while memory has no limit"));
  if (both > 0 && both < limit)
    return fail(bad_swap(both, "is memory and swap together and below memory_limit_in_bytes " + std::to_string(limit)));
  return out;
}

Result<std::vector<std::string>> cgroup_update_files(const HostFacts& host, const CgroupPaths& paths,
                                                     const Resources& wanted) {
  std::vector<std::string> out;
  for (auto& step : TRY(wanted_writes(host, paths, wanted)))
    if (out.empty() || out.back() != step.path) out.push_back(std::move(step.path));
  if (host.cgroup == CgroupVersion::v2 && wanted.memory_limit_bytes != 0)
    for (const char* name : {"/memory.current", "/memory.stat"}) out.push_back(paths.v2 + name);
  return out;
}

Result<CgroupUpdatePlan> plan_cgroup_update(const HostFacts& host, const CgroupPaths& paths, const Resources& wanted,
                                            const CgroupContents& now) {
  Steps steps = TRY(wanted_writes(host, paths, wanted));
  // Without swap accounting in the kernel its files are not there; the limit on memory holds all the same.
  std::erase_if(steps, [&](const CgroupStep& s) {
    return !now.contains(s.path) && (s.path.ends_with(".memsw.limit_in_bytes") || s.path.ends_with(".swap.max"));
  });
  if (host.cgroup == CgroupVersion::v1)
    order_v1(steps, now);
  else
    TRY(check_use(steps, paths, now));
  CgroupUpdatePlan out;
  for (auto& step : steps) {
    auto held = now.find(step.path);
    if (held != now.end() && same_value(held->second, step.value)) continue;
    out.writes.push_back({.step = std::move(step), .before = held == now.end() ? "" : held->second});
  }
  return out;
}

}  // namespace podshim
