// What the fields of a Service must be to each other, as the API server checks it (ports told apart, policies and
// ranges only where they mean something), in its words. Only for service.cc. Pure; any thread.
#pragma once

#include "common/kube/service.h"

namespace podshim::kube {

std::string_view service_type_text(ServiceType type);  // "NodePort"
Result<> check_service(const json::Reader& spec, const Service& service);

// An address that clients may be told of: no loopback, link-local, multicast or unspecified one.
Result<> check_address(const json::Reader& r, std::string_view name, const IpAddress& ip);

}  // namespace podshim::kube
