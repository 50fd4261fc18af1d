// Port-forward: a connection into the Pod's network namespace, whose bound file outlives whatever runs in the Pod.
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {

Result<Fd> NodeRuntime::dial(const std::string& sandbox_id, std::uint16_t port) {
  auto sandbox = TRY(find_sandbox(sandbox_id));
  if (port == 0) return fail(Error::invalid("port", "0 is no port"));
  TRY(monitor_of(*sandbox));  // ready, and not being stopped
  auto connection = host().dial(sandbox->copy().netns_path, port);
  if (!connection) return fail(std::move(connection).error().within("dial sandbox " + sandbox->id.brief()));
  return connection;
}

}  // namespace podshim::lifecycle
