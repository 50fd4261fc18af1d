// Registries: which endpoints are asked for an image, how and with which credentials; registries.yaml as k3s has it.
//
//   mirrors:
//     docker.io:                       # "*" = every registry without an entry of its own
//       endpoint: ["http://127.0.0.1:5000", "https://mirror.example.com/v2/hub"]
//       rewrite: {"^library/(.*)": "hub/$1"}       # of the repository, at the mirrors; the first that changes it
//   configs:
//     mirror.example.com:              # host[:port] of an endpoint, or "*"
//       auth: {username: u, password: p}           # or auth, identity_token
//       tls: {ca_file: /f, cert_file: /f, key_file: /f, insecure_skip_verify: false}
//
// Mirrors are tried in their order, the registry itself (by HTTPS) comes last. Plain HTTP only where an endpoint says
// http://. An unknown key is an error that names file and line. Pure but for load_registries(); any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/image/pull_request.h"
#include "shim/image/reference.h"
#include "shim/image/url.h"

namespace podshim::image {

struct TlsSettings {
  std::string ca_file, cert_file, key_file;
  bool insecure_skip_verify = false;
};

struct HostSettings {
  RegistryAuth auth;
  TlsSettings tls;
};

struct Rewrite {
  std::string pattern, replacement;  // ECMAScript; $1 or ${1} is a group
};

struct Mirror {
  std::vector<Url> endpoints;  // paths end before "/<repository>": /v2 unless the file has another
  std::vector<Rewrite> rewrites;
};

struct Registries {
  std::map<std::string, Mirror> mirrors;
  std::map<std::string, HostSettings> configs;

  const HostSettings& settings(const Url& url) const;
};

struct Endpoint {
  Url base;                // https://registry-1.docker.io/v2
  std::string repository;  // after the rewrite
  std::string ns;          // of a mirror: the registry that it stands for
  RegistryAuth auth;       // may be empty
};

Result<Registries> decode_registries(std::string_view yaml, const std::string& file);
// A missing file is no mirrors and no settings, unless `must_exist`.
Result<Registries> load_registries(const std::string& path, bool must_exist);

// In the order to be tried. The request's credentials go to the server that its `server_address` names and to no other,
// without one to the image's own registry; all others get those of their config.
Result<std::vector<Endpoint>> endpoints_of(const Registries& registries, const Reference& reference,
                                           const RegistryAuth& request);

}  // namespace podshim::image
