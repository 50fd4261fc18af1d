#include "common/json.h"
#include "common/sys/file.h"
#include "shim/apply/monitor_process.h"

namespace podshim {

Result<ExitRecord> read_exit_record(const std::string& path) {
  auto text = TRY(sys::read_file(path));
  auto value = TRY_IN(json::parse(text), "read " + path);
  auto reader = TRY_IN(json::Reader::of(value), "read " + path);
  ExitRecord record;
  record.id = TRY_IN(ContainerId::parse(TRY(reader.string("id"))), "read " + path);
  record.exit_code = static_cast<std::int32_t>(TRY_IN(reader.integer("exit_code", 0, 255), "read " + path));
  record.signal = static_cast<std::int32_t>(TRY_IN(reader.integer("signal", 0, 64), "read " + path));
  record.oom_killed = TRY_IN(reader.boolean("oom_killed"), "read " + path);
  record.finished_at_ns = TRY_IN(reader.integer("finished_at_ns"), "read " + path);
  return record;
}

}  // namespace podshim
