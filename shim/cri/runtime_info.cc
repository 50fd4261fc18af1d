#include "common/json.h"
#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"
#include "shim/streaming/server.h"

namespace podshim::cri {

Result<v1::VersionResponse> version(Border&, const v1::VersionRequest&) {
  v1::VersionResponse out;
  out.set_version("0.1.0");  // of the kubelet's runtime API, not of podshim
  out.set_runtime_name(kRuntimeName);
  out.set_runtime_version(kRuntimeVersion);
  out.set_runtime_api_version("v1");
  return out;
}

Result<v1::StatusResponse> status(Border& border, const v1::StatusRequest& request) {
  const RuntimeStatus now = border.runtime.status();
  v1::StatusResponse out;
  encode_condition("RuntimeReady", now.runtime, out.mutable_status()->add_conditions());
  encode_condition("NetworkReady", now.network, out.mutable_status()->add_conditions());
  auto* handler = out.add_runtime_handlers();  // named "": the default one
  handler->mutable_features()->set_recursive_read_only_mounts(now.recursive_readonly);
  handler->mutable_features()->set_user_namespaces(false);
  out.mutable_features()->set_supplemental_groups_policy(true);
  if (!request.verbose()) return out;
  const auto& c = border.config.podshim;
  auto config = json::Value::object();
  config.set("rootDir", c.root)
      .set("stateDir", c.state)
      .set("cniConfDir", c.cni_conf_dir)
      .set("cniBinDirs", json::Value::strings(c.cni_bin_dirs))
      .set("cgroupDriver", c.cgroup_driver);
  if (border.streaming != nullptr) config.set("streamingAddress", border.streaming->address());
  (*out.mutable_info())["config"] = json::dump(config);
  (*out.mutable_info())["quarantined"] = json::dump(json::Value::strings(now.quarantined));
  (*out.mutable_info())["warnings"] = json::dump(json::Value::strings(now.warnings));
  return out;
}

Result<v1::RuntimeConfigResponse> runtime_config(Border& border, const v1::RuntimeConfigRequest&) {
  v1::RuntimeConfigResponse out;
  out.mutable_linux()->set_cgroup_driver(border.config.podshim.cgroup_driver == "systemd" ? v1::SYSTEMD : v1::CGROUPFS);
  return out;
}

Result<v1::UpdateRuntimeConfigResponse> update_runtime_config(Border& border,
                                                              const v1::UpdateRuntimeConfigRequest& request) {
  TRY(border.runtime.set_pod_cidr(request.runtime_config().network_config().pod_cidr()));
  return v1::UpdateRuntimeConfigResponse{};
}

}  // namespace podshim::cri
