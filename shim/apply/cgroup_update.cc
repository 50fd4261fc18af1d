#include "shim/apply/cgroup_update.h"

#include "common/sys/file.h"

namespace podshim {
namespace {

Error refusal(const CgroupStep& step, Error e) {
  const int err = e.code;
  const std::string what = "\"" + step.value + "\" is refused by " + step.path + ": " + errno_name(err);
  Error out;
  if (err == EBUSY)
    out = Error::of(ErrorKind::failed_precondition, "update cgroup", step.field,
                    what + ", more is in use and cannot be reclaimed");
  else if (err == EINVAL || err == ERANGE || err == EACCES || err == ENOSPC || err == E2BIG)
    out = Error::invalid(step.field, what);
  else
    return e;
  out.code = err;
  return out;
}

// A file with several lines takes one a write; an empty one is emptied by an empty line.
Result<> set_back(const CgroupUpdatePlan::Write& write) {
  std::string_view text = write.before;
  do {
    const auto end = std::min(text.find('\n'), text.size());
    TRY(sys::write_file(write.step.path, std::string(text.substr(0, end)) + "\n"));
    text.remove_prefix(std::min(end + 1, text.size()));
  } while (!text.empty());
  return {};
}

}  // namespace

Result<CgroupContents> read_cgroup_files(const std::vector<std::string>& files) {
  CgroupContents out;
  for (const auto& file : files) {
    auto text = sys::read_file(file);
    if (!text && text.error().is(ENOENT)) continue;
    if (!text) return fail(std::move(text).error());
    while (!text->empty() && text->back() == '\n') text->pop_back();
    out[file] = std::move(*text);
  }
  return out;
}

Result<> apply_cgroup_update(const CgroupUpdatePlan& plan) {
  for (auto at = plan.writes.begin(); at != plan.writes.end(); ++at) {
    auto written = sys::write_file(at->step.path, at->step.value);
    if (written) continue;
    Error error = refusal(at->step, std::move(written).error());
    while (at != plan.writes.begin())
      if (auto back = set_back(*--at); !back) error.detail += "; not set back: " + back.error().text();
    return fail(std::move(error));
  }
  return {};
}

}  // namespace podshim
