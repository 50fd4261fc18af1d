// The directory between podlet (its only writer) and netproxy: Services and EndpointSlices as JSON, one object a file,
// by rename, written only when their content changed. Files that are nobody's any more are removed: at the first write
// also those of a former podlet. One thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "common/kube/endpoint_slice.h"

namespace podshim::podlet {

class ServicesDir {
 public:
  explicit ServicesDir(std::string directory) : directory_(std::move(directory)) {}
  // Makes the directory hold exactly these. True when something changed.
  Result<bool> write(const std::vector<kube::Service>& services, const std::vector<kube::EndpointSlice>& slices);

 private:
  Result<> sweep_unknown();
  std::string directory_;
  std::map<std::string, std::string> written_;  // file name -> text
  bool swept_ = false;
};

// The slices, the Services that are in it; a file that does not read is told and left out.
std::vector<kube::EndpointSlice> read_slices(const std::string& directory);
std::vector<kube::Service> read_services(const std::string& directory);

// Whether netproxy's status file (services.<key>.endpoints.<port>: ["10.42.0.2:8080", ...]: what the kernel has
// acknowledged) still names one of the addresses. False when there is no such file: nobody is waited for then.
bool netproxy_sends_to(const std::string& status_file, const std::set<std::string>& addresses);
std::string endpoint_text(const IpAddress& address, int port);  // "10.42.0.2:8080", "[fd00::2]:8080"

}  // namespace podshim::podlet
