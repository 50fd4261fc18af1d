// The directory between podlet (its only writer) and netproxy: Services and EndpointSlices as JSON, one object a file,
// by rename, written only when their content changed. Files that are nobody's any more are removed: at the first write
// also those of a former podlet. netproxy's status file, where there is one, holds "syncedThrough": nanoseconds since
// the epoch (CLOCK_REALTIME); every change made before that time is in the kernel. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/kube/endpoint_slice.h"

namespace podshim::podlet {

class ServicesDir {
 public:
  explicit ServicesDir(std::string directory) : directory_(std::move(directory)) {}
  // Makes the directory hold exactly these. CLOCK_REALTIME ns when the last change was made; 0 when nothing changed.
  // Addresses join before others leave is not promised: a file is an object, each is whole.
  Result<std::int64_t> write(const std::vector<kube::Service>& services,
                             const std::vector<kube::EndpointSlice>& slices);

 private:
  Result<> sweep_unknown();
  std::string directory_;
  std::map<std::string, std::string> written_;  // file name -> text
  bool swept_ = false;
};

// nullopt = nobody tells (no file, or not netproxy's).
std::optional<std::int64_t> netproxy_synced_through(const std::string& status_file);
std::int64_t realtime_nanos();

}  // namespace podshim::podlet
