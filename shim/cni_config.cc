#include "shim/cni_config.h"

#include "common/json.h"

namespace podshim {

std::string cni_config_text(const Config& config) {
  using json::Value;
  const Cidr& pods = config.cluster_cidr;
  auto range = Value::array();
  range.push(Value::object().set("subnet", pods.str()));
  auto ranges = Value::array();
  ranges.push(std::move(range));
  auto routes = Value::array();
  routes.push(Value::object().set("dst", pods.address.is_v4() ? "0.0.0.0/0" : "::/0"));
  auto ipam = Value::object();
  // Beside the records of this root, so that several daemons on one machine do not share addresses by accident.
  ipam.set("type", "host-local")
      .set("dataDir", config.podshim.root + "/ipam")
      .set("ranges", std::move(ranges))
      .set("routes", std::move(routes));
  auto bridge = Value::object();
  bridge.set("type", "bridge")
      .set("bridge", "podshim0")
      .set("isGateway", true)
      .set("ipMasq", true)
      .set("hairpinMode", true)
      .set("ipam", std::move(ipam));
  auto portmap = Value::object();
  portmap.set("type", "portmap").set("capabilities", Value::object().set("portMappings", true));
  auto plugins = Value::array();
  plugins.push(std::move(bridge)).push(std::move(portmap));
  auto list = Value::object();
  list.set("cniVersion", "1.1.0").set("name", "podshim").set("plugins", std::move(plugins));
  return json::dump(list, 2) + "\n";
}

}  // namespace podshim
