// A CNI configuration from a template and the Pod CIDRs of the node (UpdateRuntimeConfig). Pure; any thread.
//
//   {{.PodCIDR}}        10.42.1.0/24: the first one, without quotes
//   {{.PodCIDRRanges}}  [[{"subnet":"10.42.1.0/24"}],[{"subnet":"fd00:1::/64"}]]: `ranges` of host-local
//   {{.Routes}}         [{"dst":"0.0.0.0/0"},{"dst":"::/0"}]: a default route of each family
//
// The names are those of containerd's template. Its loops are not: lists come whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/result.h"

namespace podshim::cni {

// "a,b" as a kubelet gives it, one of a family at most. invalid_argument names the field network_config.pod_cidr.
Result<std::vector<Cidr>> parse_pod_cidrs(std::string_view text);

// The text with everything between {{ and }} replaced; what is no placeholder, and what gives no network list, is an
// error that names `source`.
Result<std::string> render_template(std::string_view text, const std::vector<Cidr>& cidrs, const std::string& source);

}  // namespace podshim::cni
